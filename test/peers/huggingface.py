"""Captions by Hugging Face's classes from an exported folder: one JSON object on stdin, one on stdout.

In: {"folder", "images": paths, "languages": mBART codes, "maxLength"}.
Out: {"problems": keys that are missing, unexpected or of another shape, "captions": per image and language
{"tokens", "text"}}.
"""

import json
import sys

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, VisionEncoderDecoderModel

request = json.load(sys.stdin)
folder = request["folder"]
model, info = VisionEncoderDecoderModel.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
model.eval()
processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
tokenizer = AutoTokenizer.from_pretrained(folder)

captions = []
for path in request["images"]:
    pixel_values = processor(images=Image.open(path), return_tensors="pt").pixel_values
    for language in request["languages"]:
        ids = model.generate(
            pixel_values,
            forced_bos_token_id=tokenizer.convert_tokens_to_ids(language),
            num_beams=1,
            max_length=request["maxLength"],
        )[0]
        captions.append({"tokens": ids.tolist(), "text": tokenizer.decode(ids, skip_special_tokens=True)})
problems = {name: sorted(map(str, keys)) for name, keys in info.items() if keys}
json.dump({"problems": problems, "captions": captions}, sys.stdout)
