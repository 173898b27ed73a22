"""Trains a small MarianMT, English to French, on Multi30k: what bench/translate-trained.mjs translates with.

    python train_marian.py MULTI30K TOKENIZER OUT [MINUTES]

MULTI30K has train.en.gz and train.fr.gz; TOKENIZER is the folder of opus-mt-tc-big-fr-en, whose two SentencePiece
models change places. One thread, MINUTES of a processor (25). OUT becomes a folder as Hugging Face saves it; a model
that is there is trained further.
"""

import gzip
import json
import random
import shutil
import sys
import time
from pathlib import Path

import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

MULTI30K, TOKENIZER, OUT = (Path(argument) for argument in sys.argv[1:4])
MINUTES = float(sys.argv[4]) if len(sys.argv) > 4 else 25

TOKENS = 2048  # of a batch, the padding of the translations counted
LEARNING_RATE, WARMUP, SMOOTHING = 1e-3, 300, 0.1
OTHERS = 1024  # tokens of the vocabulary beside those of the translations that a step scores
SEED = 1

torch.set_num_threads(1)
torch.manual_seed(SEED)
random.seed(SEED)

OUT.mkdir(parents=True, exist_ok=True)
for source, target in (("source.spm", "target.spm"), ("target.spm", "source.spm"), ("vocab.json", "vocab.json")):
    shutil.copyfile(TOKENIZER / source, OUT / target)
(OUT / "tokenizer_config.json").write_text(json.dumps({"source_lang": "en", "target_lang": "fr"}))
tokenizer = MarianTokenizer.from_pretrained(OUT)
vocabulary, pad, eos = len(tokenizer.encoder), tokenizer.pad_token_id, tokenizer.eos_token_id


def read(language):
    with gzip.open(MULTI30K / f"train.{language}.gz", "rt") as file:
        return [line.strip() for line in file]


english, french = read("en"), read("fr")
sources = tokenizer(english, max_length=64, truncation=True)["input_ids"]
targets = tokenizer(text_target=french, max_length=64, truncation=True)["input_ids"]

config = MarianConfig(
    vocab_size=vocabulary,
    d_model=256,
    encoder_layers=3,
    decoder_layers=3,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=1024,
    decoder_ffn_dim=1024,
    max_position_embeddings=512,
    activation_function="swish",
    scale_embedding=True,
    dropout=0.1,
    pad_token_id=pad,
    eos_token_id=eos,
    decoder_start_token_id=pad,
    forced_eos_token_id=eos,
    share_encoder_decoder_embeddings=True,
)
is_there = (OUT / "model.safetensors").exists()
model = MarianMTModel.from_pretrained(OUT) if is_there else MarianMTModel(config)
model.train()
embedding = model.get_input_embeddings().weight
optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)

used = sorted({token for ids in targets for token in ids})
unused = torch.tensor(sorted(set(range(vocabulary)) - set(used)))
place = torch.full((vocabulary,), -100)
place[used] = torch.arange(len(used))
used = torch.tensor(used)
# Each of the others stands for many of its kind in the sum over the vocabulary.
weight = torch.cat([torch.zeros(len(used)), torch.full((OTHERS,), len(unused) / OTHERS).log()])


def padded(rows, filler):
    length = max(map(len, rows))
    return torch.tensor([row + [filler] * (length - len(row)) for row in rows])


def batches():
    order = sorted(range(len(sources)), key=lambda i: (len(targets[i]), len(sources[i]), random.random()))
    found, batch = [], []
    for i in order:
        if (len(batch) + 1) * len(targets[i]) > TOKENS:
            found.append(batch)
            batch = []
        batch.append(i)
    found.append(batch)
    random.shuffle(found)
    return found


def loss_of(batch):
    ids, labels = padded([sources[i] for i in batch], pad), padded([targets[i] for i in batch], -100)
    shifted = torch.cat([torch.full((len(batch), 1), pad), labels[:, :-1]], 1)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(
            input_ids=ids,
            attention_mask=(ids != pad).long(),
            decoder_input_ids=shifted.masked_fill(shifted == -100, pad),
        ).last_hidden_state[labels != -100]
        scored = torch.cat([used, unused[torch.randint(len(unused), (OTHERS,))]])
        logits = hidden @ embedding[scored].T
    return torch.nn.functional.cross_entropy(
        logits.float() + weight, place[labels[labels != -100]], label_smoothing=SMOOTHING
    )


start, step, epoch = time.process_time(), 0, 0
progress = 0.0
while progress < 1:
    epoch += 1
    total, count = 0.0, 0
    for batch in batches():
        progress = (time.process_time() - start) / (60 * MINUTES)
        if progress >= 1:
            break
        step += 1
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, step / WARMUP) * max(0.02, 1 - progress)
        loss = loss_of(batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        total, count = total + loss.item(), count + 1
        if step % 50 == 0:
            print(json.dumps({"epoch": epoch, "step": step, "loss": round(total / count, 3), "minutes": round((time.process_time() - start) / 60, 1)}), file=sys.stderr, flush=True)

model.generation_config.update(bad_words_ids=[[pad]], num_beams=4, max_length=512)
model.save_pretrained(OUT)
print(json.dumps({"epochs": epoch, "steps": step, "loss": round(total / max(1, count), 3)}))
