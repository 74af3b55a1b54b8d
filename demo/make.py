#!/usr/bin/env python3
"""Makes packages.copy.gz and queries.copy.gz from a folder with base.npy, queries.npy, meta.npz, gt.npz, queries.txt.

Both are PostgreSQL's COPY BINARY format, compressed with gzip, so any server with pgvector loads them:

    gunzip -c packages.copy.gz | psql -c "COPY packages FROM STDIN WITH (FORMAT binary)"

Needs numpy.  Usage: make.py FOLDER
"""
import gzip
import os
import struct
import sys

import numpy as np

ROWS = 3500
# Neighbours of each query that are sure to be in, so that a small sample still has good answers.
NEIGHBOURS = 60
QUERIES = [
    "astronomical almanac - calculate planet and star positions",
    "3D racing cars simulator game using OpenGL",
    "SameGame puzzle game",
    "WindowMaker dockapp that shows your current weather",
    "encrypted bandwidth-efficient backup",
    "Privacy Badger automatically learns to block invisible trackers",
    "Easily Harvest (Scrape) Web Pages",
    "command line trashcan utility",
    "fast, as-you-type, fuzzy-search code completion engine for Vim",
    "simple demodulation and spectrum display program",
    "Advanced console-based ip subnet calculator",
    "PipeWire audio plugins for VLC",
]


def vector(values):
    """pgvector's binary form: dimensions, zero, big-endian floats."""
    return struct.pack("!hh", len(values), 0) + values.astype(">f4").tobytes()


def write(name, rows):
    out = bytearray(b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0))
    for row in rows:
        out += struct.pack("!h", len(row)) + b"".join(struct.pack("!i", len(cell)) + cell for cell in row)
    out += struct.pack("!h", -1)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, "wb") as file:
        file.write(gzip.compress(bytes(out), 9, mtime=0))
    print(f"{name}: {len(rows)} rows, {os.path.getsize(path)} bytes")


def main(folder):
    base, queries = np.load(f"{folder}/base.npy"), np.load(f"{folder}/queries.npy")
    meta, near = np.load(f"{folder}/meta.npz"), np.load(f"{folder}/gt.npz")["all"]
    titles = meta["titles"].tobytes().decode().split("\n")
    texts = open(f"{folder}/queries.txt").read().split("\n")
    chosen = [texts.index(text) for text in QUERIES]
    rows = dict.fromkeys(int(row) for query in chosen for row in near[query][:NEIGHBOURS])
    for row in range(len(base)):
        if len(rows) == ROWS:
            break
        rows[row] = None
    number = lambda kind, value: struct.pack("!" + kind, int(value))
    write("packages.copy.gz", [
        (number("q", id), titles[row].encode(), bytes(meta["category_names"][meta["category"][row]]),
         number("i", meta["tenant"][row]), number("i", meta["size"][row]), vector(base[row]))
        for id, row in enumerate(sorted(rows), 1)])
    write("queries.copy.gz", [
        (number("q", id), texts[query].encode(), vector(queries[query])) for id, query in enumerate(chosen, 1)])


main(*sys.argv[1:])
