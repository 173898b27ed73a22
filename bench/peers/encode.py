"""Encodes pictures by Hugging Face's CLIP of ViT-B/32's size with random weights, projects them and computes the keys
and values of a decoder's twelve cross-attentions, as lingolens's program does. Reads lines "pictures batch", answers each
with the seconds that so many pictures took, and those of the processor. Arguments: dtype, threads."""
import sys, time
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

dtype = getattr(torch, sys.argv[1])
torch.set_num_threads(int(sys.argv[2]))
torch.manual_seed(0)
vision = CLIPVisionModel(CLIPVisionConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
                                          num_attention_heads=12, image_size=224, patch_size=32)).eval().to(dtype)
projection = torch.nn.Linear(768, 1024).to(dtype)
cross = torch.nn.ModuleList(torch.nn.Linear(1024, 1024) for _ in range(24)).to(dtype)

for line in sys.stdin:
    pictures, batch = map(int, line.split())
    pixels = torch.rand(batch, 3, 224, 224, dtype=dtype) * 2 - 1
    with torch.inference_mode():
        start, used = time.perf_counter(), time.process_time()
        for _ in range(pictures // batch):
            hidden = projection(vision(pixel_values=pixels).last_hidden_state)
            for layer in cross:
                layer(hidden)
        print(time.perf_counter() - start, time.process_time() - used, flush=True)
