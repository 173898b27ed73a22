"""Peers of bench/metrics.mjs: sacreBLEU, and CIDEr-D in plain Python. Reads the captions, prints seconds of the processor and scores."""

import json
import math
import sys
import time
from collections import Counter, defaultdict

from sacrebleu.metrics import BLEU, CHRF

ORDERS = 4
SIGMA = 6.0


def ngrams(words):
    return Counter(
        tuple(words[i : i + n]) for n in range(1, ORDERS + 1) for i in range(len(words) - n + 1)
    )


def vector(counts, frequency, log_pictures):
    weights = [{} for _ in range(ORDERS)]
    norms = [0.0] * ORDERS
    pairs = 0
    for ngram, count in counts.items():
        order = len(ngram) - 1
        weight = count * (log_pictures - math.log(max(1.0, frequency[ngram])))
        weights[order][ngram] = weight
        norms[order] += weight * weight
        if order == 1:
            pairs += count
    return weights, [math.sqrt(norm) for norm in norms], pairs


def similarity(hypothesis, reference):
    weights, norms, pairs = hypothesis
    other_weights, other_norms, other_pairs = reference
    total = 0.0
    for order in range(ORDERS):
        product = 0.0
        for ngram, weight in weights[order].items():
            other = other_weights[order].get(ngram, 0.0)
            product += min(weight, other) * other
        if norms[order] and other_norms[order]:
            product /= norms[order] * other_norms[order]
        total += product
    return total / ORDERS * math.exp(-((pairs - other_pairs) ** 2) / (2 * SIGMA**2))


def cider(hypotheses, references):
    counted = [[ngrams(words) for words in texts] for texts in references]
    frequency = defaultdict(float)
    for texts in counted:
        for ngram in {ngram for counts in texts for ngram in counts}:
            frequency[ngram] += 1
    log_pictures = math.log(len(references))
    total = 0.0
    for words, texts in zip(hypotheses, counted):
        hypothesis = vector(ngrams(words), frequency, log_pictures)
        scores = [similarity(hypothesis, vector(counts, frequency, log_pictures)) for counts in texts]
        total += 10 * sum(scores) / len(scores)
    return total / len(hypotheses)


def timed(work):
    start = time.process_time()
    score = work()
    return {"seconds": time.process_time() - start, "score": score}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    hypotheses, references = data["hypotheses"], list(zip(*data["references"]))
    ciders = [timed(lambda: cider(data["hypothesisTokens"], data["referenceTokens"])) for _ in range(3)]
    results = {
        "sacreBleu": timed(lambda: BLEU().corpus_score(hypotheses, references, n_bootstrap=1000).score),
        "chrf": timed(lambda: CHRF().corpus_score(hypotheses, references).score),
        "chrfPlusPlus": timed(lambda: CHRF(word_order=2).corpus_score(hypotheses, references).score),
        "cider": sorted(ciders, key=lambda run: run["seconds"])[1],
    }
    json.dump(results, sys.stdout)


main()
