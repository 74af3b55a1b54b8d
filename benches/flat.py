"""Exact search beside faiss' flat index: the same data, as many threads as there are processors, in turns.

    pip install numpy faiss-cpu
    cargo bench --no-default-features --bench exact --no-run      # prints the path of the program
    HITHER_DATA=... python benches/flat.py PROGRAM [--set minilm|million] [--rounds 7]

`alone`: one query after the other. `together`: all 1,000 queries at once, as faiss multiplies matrices and Hither compares
tiles (256 queries at a time, as a statement does). Medians over the rounds, milliseconds per query by the clock and of the
processors. Both have compared once before each time that counts.
"""

import argparse
import os
import statistics
import subprocess
import time

import faiss
import numpy as np

K, ALONE = 10, 100


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--set", default="minilm", choices=["minilm", "million"])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if options.set == "minilm":
        folder = os.path.join(os.environ["HITHER_DATA"], "minilm")
        base, queries = (np.load(os.path.join(folder, name)).astype(np.float32) for name in ("base.npy", "queries.npy"))
        base, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (base, queries))
        index = faiss.IndexFlatIP(base.shape[1])
    else:
        random = np.random.default_rng(1)
        base, queries = (random.random((rows, 128), dtype=np.float32) for rows in (1_000_000, 1_000))
        index = faiss.IndexFlatL2(128)
    faiss.omp_set_num_threads(os.cpu_count())
    index.add(base)
    program = subprocess.Popen(
        [options.program, options.set, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    print(program.stdout.readline().strip())

    def hither(how):
        program.stdin.write(how + "\n")
        program.stdin.flush()
        return tuple(float(word) * 1e3 for word in program.stdout.readline().split())

    def flat(how):
        asked = queries[:ALONE] if how == "alone" else queries
        wall, cpu = time.perf_counter(), time.process_time()
        if how == "alone":
            for query in asked:
                index.search(query[None], K)
        else:
            index.search(asked, K)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return wall / len(asked) * 1e3, cpu / len(asked) * 1e3

    print("| | Hither: ms | CPU ms | faiss: ms | CPU ms | ratio |\n|---|---|---|---|---|---|")
    for how in ("alone", "together"):
        runs = {hither: [], flat: []}
        for _ in range(options.rounds):
            for one in runs:
                one(how)
                runs[one].append(one(how))
        (wall, cpu), (other, other_cpu) = (
            [statistics.median(run[part] for run in runs[one]) for part in (0, 1)] for one in (hither, flat)
        )
        print(f"| {how} | {wall:.3f} | {cpu:.3f} | {other:.3f} | {other_cpu:.3f} | {wall / other:.2f} |")
    program.stdin.close()


if __name__ == "__main__":
    main()
