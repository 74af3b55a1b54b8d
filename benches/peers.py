"""Hither's graph beside hnswlib, faiss and usearch: in one process each, one thread, the same data, in turns.

    pip install numpy hnswlib faiss-cpu usearch
    cargo bench --no-default-features --bench graph --no-run      # prints the path of the program
    HITHER_DATA=... python benches/peers.py PROGRAM [--set minilm] [--rounds 5] [--codes none,sq8]

Every library builds a graph of m = 16 and ef_construction = 64 on two threads, and then answers all queries at each ef,
ROUNDS times, one library after the other within a round; each time twice, of which the second counts. A figure is the
median over the rounds; CPU is the processor time of the process or thread that searched, so that other work on the
machine disturbs little. What a library needs for a recall is read off the line between the two ef around it.
"""

import argparse
import os
import statistics
import subprocess
import time

import numpy as np

M, EF_CONSTRUCTION, K = 16, 64, 10
EFS = [10, 16, 24, 32, 40, 56, 80, 120, 200, 320, 500, 800]
RECALLS = [0.90, 0.95, 0.99]
METRICS = {"minilm": "cosine", "sift": "l2"}


class Timer:
    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


class Library:
    """A library that runs in this process: `build(threads)`, `answer(ef)`."""

    def __init__(self, base, queries, metric):
        self.base, self.queries, self.metric = base, queries, metric

    def timed_build(self):
        with Timer() as timer:
            self.build(2)
        return timer.wall, timer.cpu

    def timed_search(self, ef, truth):
        with Timer() as timer:
            found = np.asarray(self.answer(ef))
        hits = sum(len(set(row[:K]) & set(right)) for row, right in zip(found.tolist(), truth.tolist()))
        return hits / truth.size, timer.cpu / len(self.queries) * 1e6


class Hnswlib(Library):
    name = "hnswlib"

    def build(self, threads):
        import hnswlib

        self.index = hnswlib.Index(space=self.metric, dim=self.base.shape[1])
        self.index.init_index(max_elements=len(self.base), M=M, ef_construction=EF_CONSTRUCTION)
        self.index.set_num_threads(threads)
        self.index.add_items(self.base)
        self.index.set_num_threads(1)

    def answer(self, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(self.queries, k=K, num_threads=1)[0]


class Faiss(Library):
    name = "faiss"

    def build(self, threads):
        import faiss

        self.faiss = faiss
        metric = faiss.METRIC_INNER_PRODUCT if self.metric == "cosine" else faiss.METRIC_L2
        faiss.omp_set_num_threads(threads)
        self.index = faiss.IndexHNSWFlat(self.base.shape[1], M, metric)
        self.index.hnsw.efConstruction = EF_CONSTRUCTION
        self.index.add(self.unit(self.base))
        faiss.omp_set_num_threads(1)

    def unit(self, vectors):
        if self.metric != "cosine":
            return vectors
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def answer(self, ef):
        self.index.hnsw.efSearch = ef
        return self.index.search(self.unit(self.queries), K)[1]


class Usearch(Library):
    name = "usearch"

    def build(self, threads):
        from usearch.index import Index

        metric = {"cosine": "cos", "l2": "l2sq"}[self.metric]
        self.index = Index(
            ndim=self.base.shape[1], metric=metric, dtype="f32", connectivity=M, expansion_add=EF_CONSTRUCTION
        )
        self.index.add(np.arange(len(self.base)), self.base, threads=threads)

    def answer(self, ef):
        self.index.expansion_search = ef
        return self.index.search(self.queries, K, threads=1).keys


class Hither:
    """`graph ... serve`, which measures itself."""

    def __init__(self, program, set_name, codes):
        self.name, self.codes, self.program = f"hither {codes}", codes, program

    def ask(self, line):
        self.program.stdin.write(line + "\n")
        self.program.stdin.flush()
        return tuple(float(word) for word in self.program.stdout.readline().split())

    def timed_build(self):
        return self.ask(f"build {self.codes}")

    def timed_search(self, ef, _truth):
        return self.ask(f"search {self.codes} {ef}")


def cost_at(recall, curve):
    """CPU at a recall on the line between the two points around it; None when the curve does not reach it."""
    for (low, low_cpu), (high, high_cpu) in zip(curve, curve[1:]):
        if low <= recall <= high and high > low:
            return low_cpu + (high_cpu - low_cpu) * (recall - low) / (high - low)
    return curve[0][1] if curve[0][0] >= recall else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--set", default="minilm", choices=METRICS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--builds", type=int, default=3)
    parser.add_argument("--codes", default="none,sq8")
    parser.add_argument("--peers", default="hnswlib,faiss,usearch")
    options = parser.parse_args()
    folder = os.path.join(os.environ["HITHER_DATA"], options.set)
    read = lambda name: np.load(os.path.join(folder, name)).astype(np.float32)
    base, queries = read("base.npy"), read("queries.npy")
    truth = np.load(os.path.join(folder, "gt.npz"))["all"][:, :K]
    program = subprocess.Popen(
        [options.program, options.set, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    print(program.stdout.readline().strip())
    libraries = [Hither(program, options.set, codes) for codes in options.codes.split(",")]
    peers = options.peers.split(",")
    libraries += [
        peer(base, queries, METRICS[options.set]) for peer in (Hnswlib, Faiss, Usearch) if peer.name in peers
    ]
    builds = {library.name: [] for library in libraries}
    for _ in range(options.builds):
        for library in libraries:
            builds[library.name].append(library.timed_build())
    runs = {library.name: {ef: [] for ef in EFS} for library in libraries}
    for _ in range(options.rounds):
        for ef in EFS:
            for library in libraries:
                # Its caches are others' by now, and a processor that waited for another process is slow at first.
                library.timed_search(ef, truth)
                runs[library.name][ef].append(library.timed_search(ef, truth))
    program.stdin.close()
    median = statistics.median
    print("| | " + " | ".join(f"CPU us at {recall:.2f}" for recall in RECALLS) + " | build, s wall | build, s CPU |")
    print("|---" * (len(RECALLS) + 3) + "|")
    for library in libraries:
        name = library.name
        curve = [(median(r for r, _ in runs[name][ef]), median(c for _, c in runs[name][ef])) for ef in EFS]
        costs = [cost_at(recall, curve) for recall in RECALLS]
        cells = ["-" if cost is None else f"{cost:.0f}" for cost in costs]
        wall, cpu = (median(build[part] for build in builds[name]) for part in (0, 1))
        print(f"| {name} | " + " | ".join(cells) + f" | {wall:.2f} | {cpu:.2f} |")
    print("\nrecall / CPU us by ef")
    print("| | " + " | ".join(str(ef) for ef in EFS) + " |")
    for library in libraries:
        points = [
            f"{median(r for r, _ in runs[library.name][ef]):.4f} / {median(c for _, c in runs[library.name][ef]):.0f}"
            for ef in EFS
        ]
        print(f"| {library.name} | " + " | ".join(points) + " |")


if __name__ == "__main__":
    main()
