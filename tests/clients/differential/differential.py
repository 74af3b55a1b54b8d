#!/usr/bin/env python3
"""Statements that have to be answered alike by Hither and by PostgreSQL.

    differential.py --ours URL --theirs URL [--seed N] [--count M] [--file statements.sql]

Without --file the statements are random ones (`generator.py`): the same seed makes the same statements, and
statement k of a seed can be had alone with --only k. With it they are read from a file: blocks divided by an empty line,
each a statement or, where there are several, a transaction that is rolled back, each statement in a savepoint.

Both servers get a schema `differential` of the same tables. Compared are SQLSTATE, the types and names of the columns,
and the rows as PostgreSQL's text (with --binary also in its binary format): in order where the statement has an order of its
own, as a multiset otherwise. A difference is made small before it is shown, and shown once for each kind:

    A  rows differ, the connection was lost, no answer, or an internal error
    M  the message of an error speaks of the machinery below
    B  PostgreSQL answers, Hither refuses
    C  SQLSTATE differs (so does an error only Hither does not raise)
    D  type or name of a column differs
    E  the message of an error differs
    F  digits of numbers differ: zeros at the end, the last ones of floating point
"""

import argparse
import decimal
import re
import select
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import pq

from generator import SETUP, Generator, smaller

INTERNAL = re.compile(
    r"datafusion|arrow|internal error|physical plan|logical plan|schema error|panick"
    r"|Utf8|U?Int\d|Float\d|FixedSize|List\(|LargeBinary|MonthDayNano|Date32|Time64",
    re.I,
)
PARAMETER = re.compile(r"^(?!PREPARE).*\$\d", re.I | re.S)
WAIT = 30


@dataclass
class Answer:
    rows: list = field(default_factory=list)
    names: tuple = ()
    types: tuple = ()
    state: str = ""
    message: str = ""
    tag: str = ""

    def __str__(self):
        if self.state:
            return f"{self.state} {self.message}"
        shown = " ; ".join(show(row) for row in self.rows[:6])
        return f"[{', '.join(f'{n}:{t}' for n, t in zip(self.names, self.types))}] {len(self.rows)} rows: {shown[:600]}"


def show(row):
    return "|".join("NULL" if value is None else value for value in row)


class Server:
    """One connection, opened anew when it is lost."""

    def __init__(self, url, binary=False):
        self.url, self.binary, self.names = url, binary, {}
        self.connect()

    def connect(self):
        self.connection = psycopg.connect(self.url, autocommit=True)
        self.wire = self.connection.pgconn
        self.run("SET client_min_messages = error")
        self.run("SET statement_timeout = '5s'")
        self.run("SET search_path = differential, public")
        if not self.names:
            self.names = dict(self.run("SELECT oid, typname FROM pg_type").rows)

    def run(self, sql, binary=False):
        """What the server answers; "LOST" and "HANGS" are states as well."""
        if self.wire.status != pq.ConnStatus.OK:
            self.connect()
        try:
            if binary:
                self.wire.send_query_params(sql.encode(), [], result_format=pq.Format.BINARY)
            else:
                self.wire.send_query(sql.encode())
            end, last = time.monotonic() + WAIT, None
            while True:
                while self.wire.is_busy():
                    ready, _, _ = select.select([self.wire.socket], [], [], max(0, end - time.monotonic()))
                    if not ready:
                        self.wire.finish()
                        return Answer(state="HANGS", message=f"no answer in {WAIT} s")
                    self.wire.consume_input()
                result = self.wire.get_result()
                if result is None:
                    break
                last = result
        except psycopg.OperationalError as error:
            self.wire.finish()
            return Answer(state="LOST", message=str(error).strip())
        if last is None:
            return Answer(state="LOST", message="no result")
        if last.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE):
            state = last.error_field(pq.DiagnosticField.SQLSTATE)
            message = last.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or last.error_message
            return Answer(state=state.decode() if state else "LOST", message=message.decode())
        columns = range(last.nfields)
        text = lambda value: None if value is None else value.hex() if binary else value.decode("utf-8", "replace")
        return Answer(
            rows=[tuple(text(last.get_value(row, column)) for column in columns) for row in range(last.ntuples)],
            names=tuple(last.fname(column).decode() for column in columns),
            types=tuple(self.type_name(last.ftype(column)) for column in columns),
            tag=(last.command_status or b"").decode(),
        )

    def describe(self, sql):
        """The types of a statement's parameters and columns."""
        result = self.wire.prepare(b"", sql.encode())
        if result.status == pq.ExecStatus.COMMAND_OK:
            result = self.wire.describe_prepared(b"")
        if result.status != pq.ExecStatus.COMMAND_OK:
            state = result.error_field(pq.DiagnosticField.SQLSTATE) or b"LOST"
            return Answer(state=state.decode(), message=(result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode())
        columns = range(result.nfields)
        parameters = [self.type_name(result.param_type(n)) for n in range(result.nparams)]
        return Answer(
            names=tuple(f"${n + 1}" for n in range(len(parameters))) + tuple(result.fname(n).decode() for n in columns),
            types=tuple(parameters) + tuple(self.type_name(result.ftype(n)) for n in columns),
        )

    def type_name(self, oid):
        return self.names.get(str(oid), str(oid)) if getattr(self, "names", None) else str(oid)


def near(ours, theirs, type_name):
    """Whether two texts are the same number but for its last digits."""
    if ours == theirs:
        return True
    if ours is None or theirs is None:
        return False
    digits = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?")
    if digits.sub("#", ours) != digits.sub("#", theirs):
        return False
    bound = decimal.Decimal("2e-6" if type_name in ("float4", "vector", "halfvec", "sparsevec") else "1e-14")
    for a, b in zip(digits.findall(ours), digits.findall(theirs)):
        a, b = decimal.Decimal(a), decimal.Decimal(b)
        if a != b and abs(a - b) > bound * max(abs(a), abs(b), 1):
            return False
    return True


def compare(ours, theirs, ordered, exact=False):
    """The class of the difference, or None."""
    if ours.state in ("LOST", "HANGS") or ours.state.startswith("XX"):
        return None if theirs.state.startswith("XX") else "A"
    if ours.state and not theirs.state:
        return "B"
    if ours.state and INTERNAL.search(ours.message):
        return "M"
    if ours.state != theirs.state:
        return "C"
    if ours.state:
        return "E" if ours.message != theirs.message else None
    ours_rows, theirs_rows = ours.rows, theirs.rows
    if not ordered:
        key = lambda row: tuple((value is None, value or "") for value in row)
        ours_rows, theirs_rows = sorted(ours_rows, key=key), sorted(theirs_rows, key=key)
    digits = False
    if ours_rows != theirs_rows:
        if exact or len(ours_rows) != len(theirs_rows) or len(ours.types) != len(theirs.types):
            return "A"
        for a, b in zip(ours_rows, theirs_rows):
            if not all(near(x, y, kind) for x, y, kind in zip(a, b, theirs.types)):
                return "A"
        digits = True
    if ours.types != theirs.types or ours.names != theirs.names or ours.tag != theirs.tag:
        return "D"
    return "F" if digits else None


def kind(node_or_text, ours, theirs, difference):
    """What differences have in common that are shown once."""
    text = str(node_or_text)
    blur = lambda message: re.sub(r"\d+", "0", re.sub(r"\"[^\"]*\"|'[^']*'", "_", message))
    if difference == "E" or difference in "AMBC" and ours.state:
        return difference, ours.state, theirs.state, blur(ours.message)[:60], blur(theirs.message)[:60]
    return difference, re.sub(r"\b\d+(\.\d+)?\b", "0", re.sub(r"'(?:[^']|'')*'", "_", text))


class Tester:
    def __init__(self, arguments):
        self.arguments = arguments
        self.ours, self.theirs = Server(arguments.ours), Server(arguments.theirs)
        self.seen, self.counts = set(), Counter()

    def setup(self):
        for server in (self.ours, self.theirs):
            for statement in SETUP:
                answer = server.run(statement)
                if answer.state:
                    sys.exit(f"{server.url}: {statement}: {answer}")

    def ask(self, sql, ordered, transaction):
        """Both answers and their difference; a changed table is put back."""
        answers = []
        for server in (self.ours, self.theirs):
            if transaction:
                server.run("BEGIN")
            answers.append(server.describe(sql) if PARAMETER.search(sql) else server.run(sql))
            if transaction:
                server.run("ROLLBACK")
        difference = compare(*answers, ordered)
        if self.arguments.binary and not difference and not transaction and answers[0].rows:
            answers = [server.run(sql, True) for server in (self.ours, self.theirs)]
            difference = compare(*answers, ordered, exact=True)
        return *answers, difference

    def report(self, label, sql, ours, theirs, difference):
        self.counts[difference] += 1
        key = kind(sql, ours, theirs, difference)
        if key in self.seen or difference not in self.arguments.classes:
            return
        self.seen.add(key)
        print(f"{difference} {label}\n    {sql}\n    ours:   {ours}\n    theirs: {theirs}", flush=True)
        ours_rows, theirs_rows = Counter(ours.rows), Counter(theirs.rows)
        if difference in "AF" and not ours.state and not theirs.state and ours_rows != theirs_rows:
            for whose, rows in ("only ours:  ", ours_rows - theirs_rows), ("only theirs:", theirs_rows - ours_rows):
                print(f"    {whose} {' ; '.join(show(row) for row in list(rows.elements())[:4])}", flush=True)

    def random(self):
        only = self.arguments.only
        for number in range(self.arguments.count) if only is None else [only]:
            made = Generator(f"{self.arguments.seed}/{number}").statement()
            ask = lambda node: self.ask(node.text(), made.ordered, made.changes)
            ours, theirs, difference = ask(made.node)
            if self.arguments.verbose:
                print(number, made.node.text(), "|", difference, "|", theirs)
            if difference is None:
                self.counts["same error" if theirs.state else "same"] += 1
                continue
            if difference not in self.arguments.classes:
                self.counts[difference] += 1
                continue
            node, tries = made.node, 0
            progress = difference != "E"
            while progress and tries < self.arguments.shrink:
                progress = False
                for candidate in smaller(node):
                    tries += 1
                    if tries > self.arguments.shrink:
                        break
                    o, t, d = ask(candidate)
                    if d == difference and o.state == ours.state and t.state == theirs.state:
                        node, ours, theirs, progress = candidate, o, t, True
                        break
            self.report(f"seed {self.arguments.seed} --only {number}", node.text(), ours, theirs, difference)

    def file(self, path):
        for label, block in blocks(path):
            several = len(block) > 1
            for server in (self.ours, self.theirs):
                if several:
                    server.run("BEGIN")
            for sql in block:
                ordered = bool(re.search(r"\border\s+by\b(?![^()]*\))", sql, re.I))
                for server in (self.ours, self.theirs) if several else ():
                    server.run("SAVEPOINT s")
                *answers, difference = self.ask(sql, ordered, False)
                for server, answer in zip((self.ours, self.theirs), answers) if several else ():
                    server.run("ROLLBACK TO s" if answer.state else "RELEASE s")
                if difference and not several and not PARAMETER.search(sql) and len(parts := expressions(sql)) > 1:
                    for part in parts:
                        ours, theirs, difference = self.ask(part, ordered, False)
                        if difference:
                            self.report(f"line {label}", part, ours, theirs, difference)
                elif difference:
                    self.report(f"line {label}", sql, *answers, difference)
                else:
                    self.counts["same error" if answers[1].state else "same"] += 1
            for server in (self.ours, self.theirs):
                if several:
                    server.run("ROLLBACK")


def blocks(path):
    """(line, statements) of each block; a statement ends with ; at the end of a line."""
    block, part, first = [], [], 0
    for number, line in enumerate(Path(path).read_text().splitlines() + [""], 1):
        if line.startswith("--"):
            continue
        if not line.strip() and not part:
            if block:
                yield first, block
            block = []
        elif line.strip():
            first = first if block or part else number
            part.append(line)
            if line.rstrip().endswith(";"):
                block.append("\n".join(part).rstrip().removesuffix(";"))
                part = []


def expressions(sql):
    """A SELECT of several expressions as one SELECT of each."""
    found = re.match(r"SELECT (?!DISTINCT|ALL )", sql)
    if not found or re.search(r"\b(UNION|INTERSECT|EXCEPT|GROUP BY \w|ORDER BY \d)", sql):
        return [sql]
    parts, depth, quoted, start, place = [], 0, False, found.end(), found.end()
    while place < len(sql):
        letter = sql[place]
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "([{":
            depth += 1
        elif not quoted and letter in ")]}":
            depth -= 1
        elif not quoted and not depth and letter == ",":
            parts.append(sql[start:place])
            start = place + 1
        elif not quoted and not depth and sql[place:place + 6] == " FROM ":
            break
        place += 1
    parts.append(sql[start:place])
    return [f"SELECT {part.strip()}{sql[place:]}" for part in parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--theirs", required=True)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--only", type=int)
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--binary", action="store_true", help="compare the binary format of values as well")
    parser.add_argument("--classes", default="AMBCD")
    parser.add_argument("--shrink", type=int, default=60, help="statements to spend on making one smaller")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    tester = Tester(arguments)
    tester.setup()
    if arguments.file:
        for path in arguments.file:
            tester.file(path)
    else:
        tester.random()
    print(", ".join(f"{name}: {count}" for name, count in sorted(tester.counts.items())))
    sys.exit(any(tester.counts[name] for name in "AMBC"))


if __name__ == "__main__":
    main()
