"""psql itself: scripts, errors, its backslash commands, \\copy, and a plain pg_dump of a pgvector database."""
import os
import subprocess
import tempfile
import unittest

import server

HERE = os.path.dirname(os.path.abspath(__file__))


def psql(*arguments, script=None, check=True):
    command = ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", server.url(), *arguments]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def read(path):
    with open(path) as file:
        return file.read()


class Psql(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        psql(script="""
            CREATE EXTENSION IF NOT EXISTS vector;
            DROP TABLE IF EXISTS books;
            CREATE TABLE books (id bigserial PRIMARY KEY, title text NOT NULL, year int4 DEFAULT 2000,
                                embedding vector(3));
            CREATE INDEX books_embedding ON books USING hnsw (embedding vector_cosine_ops) WITH (m = 16);
            CREATE INDEX books_year ON books (year);
            INSERT INTO books (title, year, embedding) VALUES
                ('one', 1990, '[1,0,0]'), ('two', 2005, '[0,1,0]'), ('three', 2010, '[0,0.9,0.1]');
        """)

    def test_a_filtered_search(self):
        done = psql("-At", "-c", "SELECT title FROM books WHERE year > 2000 ORDER BY embedding <=> '[0,1,0]' LIMIT 2")
        self.assertEqual(done.stdout, "two\nthree\n")

    def test_describe(self):
        self.assertIn("books", psql("-c", "\\dt").stdout)
        self.assertIn("books_embedding", psql("-c", "\\di").stdout)
        shown = psql("-c", "\\d books").stdout
        for words in ["title", "vector(3)", "not null", "nextval('books_id_seq'::regclass)", "\"books_pkey\" PRIMARY KEY",
                      "hnsw", "books_year"]:
            self.assertIn(words, shown)
        for command in ["\\d", "\\d+ books", "\\dn", "\\du", "\\dx", "\\ds", "\\dT", "\\df", "\\conninfo", "\\dv"]:
            psql("-c", command)

    def test_every_backslash_command_that_reads_the_catalogue(self):
        psql("-c", "CREATE OR REPLACE VIEW recent AS SELECT id, title FROM books WHERE year > 2000")
        commands = """\\d \\d+ \\dS \\d|books \\d+|books \\d+|recent \\d|books_id_seq \\d|books_embedding \\d|b* \\da \\dA \\dA+ \\dAc \\dAc|hnsw
            \\dAf \\dAo \\dAp \\db \\db+ \\dc \\dconfig|hnsw* \\dC \\dd \\dD \\ddp \\dE \\des \\det \\deu \\dew \\df \\df|l2* \\dfn|lower \\dft \\dF
            \\dFd \\dFp \\dFt \\dg \\di \\di+ \\dl \\dL \\dm \\dn \\dn+ \\do|<-> \\dO \\dp \\dp|books \\dP \\drds \\dRp \\dRs \\ds \\ds+ \\dt \\dt+ \\dtS
            \\dT \\dT+ \\dT|vector \\du \\du+ \\dv \\dv+ \\dx \\dx+|vector \\dX \\dy \\l \\l+ \\z \\z|books \\sv|recent \\sv+|recent \\conninfo \\encoding"""
        for command in commands.replace("|", " ").split("\\")[1:]:
            with self.subTest(command):
                done = psql(script="\\" + command.strip() + "\n")
                self.assertNotIn("ERROR", done.stdout + done.stderr)
        psql("-c", "DROP VIEW recent")

    def test_commands_around_queries(self):
        done = psql("-At", script="""
            SELECT title, year FROM books WHERE id = 1 \\gset
            \\echo :title :year
            SELECT 1 AS a, embedding FROM books \\gdesc
            SELECT title, year, count(*) FROM books GROUP BY 1, 2 ORDER BY 1 \\crosstabview
            SELECT format('SELECT %s', i) FROM generate_series(7, 8) AS g(i) \\gexec
            \\timing on
            SELECT title FROM books WHERE id = 2;
        """).stdout
        for line in ["one 1990", "a|integer", "embedding|vector(3)", "one|1||\nthree||1|\ntwo|||1\n", "7\n8\n", "two\nTime: "]:
            self.assertIn(line, done)
        done = psql("-v", "ON_ERROR_STOP=0", script="SELECT 1/0;\n\\errverbose\n", check=False)
        self.assertIn("22012: division by zero", done.stderr)

    def test_errors_point_at_their_place(self):
        done = psql("-c", "SELECT nothing FROM books", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ERROR:  column \"nothing\" does not exist\nLINE 1: SELECT nothing FROM books\n               ^",
                      done.stderr)
        done = psql("-v", "VERBOSITY=verbose", "-c", "INSERT INTO books (title, embedding) VALUES ('x', '[1,2]')", check=False)
        self.assertIn("22000: expected 3 dimensions, not 2", done.stderr)

    def test_copy_through_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "books.csv")
            psql("-c", f"\\copy (SELECT title, year FROM books ORDER BY id) TO '{path}' WITH (FORMAT csv, HEADER)")
            self.assertEqual(read(path), "title,year\none,1990\ntwo,2005\nthree,2010\n")
            psql("-c", "CREATE TABLE copied (title text, year int4)")
            psql("-c", f"\\copy copied FROM '{path}' WITH (FORMAT csv, HEADER)")
            self.assertEqual(psql("-At", "-c", "SELECT count(*) FROM copied").stdout, "3\n")
            psql("-c", "DROP TABLE copied")

    def test_transactions_and_prepared_statements(self):
        done = psql("-At", script="""
            BEGIN; INSERT INTO books (title, embedding) VALUES ('four', '[9,9,9]');
            SELECT title FROM books ORDER BY embedding <-> '[9,9,9]' LIMIT 1; ROLLBACK;
            SELECT count(*) FROM books;
            PREPARE find (vector) AS SELECT title FROM books ORDER BY embedding <-> $1 LIMIT 1;
            EXECUTE find('[1,0,0]'); EXECUTE find('[0,1,0]'); DEALLOCATE find;
        """)
        answers = [line for line in done.stdout.split("\n") if line in ("one", "two", "three", "four", "3", "4")]
        self.assertEqual(answers, ["four", "3", "one", "two"])

    def test_a_plain_dump_loads_unchanged(self):
        psql("-c", "DROP TABLE IF EXISTS items, orders")
        psql("-f", os.path.join(HERE, "pg_dump_16.sql"))
        counts = psql("-At", "-c", "SELECT (SELECT count(*) FROM public.items), (SELECT count(*) FROM public.orders)").stdout
        dump = read(os.path.join(HERE, "pg_dump_16.sql"))
        rows = lambda table: dump.split(f"COPY public.{table} ")[1].split("\n\\.\n")[0].count("\n")
        self.assertEqual(counts, f"{rows('items')}|{rows('orders')}\n")
        psql("-c", "INSERT INTO public.items (name) VALUES ('after')")
        nearest = psql("-At", "-c", "SELECT id FROM public.items ORDER BY embedding <=> '[3,3,3]' LIMIT 1").stdout
        self.assertTrue(nearest.strip().isdigit())

class Dump(unittest.TestCase):
    """`hither dump` writes SQL from which psql makes the same database: its dump is the same text."""

    def test_a_dump_of_what_was_loaded_from_a_dump_is_the_same(self):
        binary = os.environ.get("HITHER_BINARY")
        if binary is None:
            self.skipTest("HITHER_BINARY names no binary")
        first, second = server.start(binary), server.start(binary)

        def load(url, script):
            done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url], input=script,
                                  capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)

        def dump(url, *arguments):
            done = subprocess.run([binary, "dump", *arguments, url], capture_output=True, text=True, timeout=120)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return done.stdout

        load(first, read(os.path.join(HERE, "dumped.sql")))
        text = dump(first)
        load(second, text)
        self.assertEqual(dump(second), text)
        for words in ["CREATE TABLE shop.\"odd Name\"", "USING hnsw", "COPY shop.items", "REFERENCES shop.kinds",
                      "CREATE VIEW shop.cheap", "GENERATED ALWAYS AS", "setval('shop.counter'"]:
            self.assertIn(words, text)
        # What the second goes on with is what the first would have.
        insert = "INSERT INTO shop.items (kind, title) VALUES (1, 'next') RETURNING id"
        following = [subprocess.run(["psql", "-X", "-At", "-q", "-d", url, "-c", insert], capture_output=True, text=True)
                     for url in (first, second)]
        self.assertEqual(following[0].stdout, following[1].stdout)
        self.assertNotIn("COPY", dump(first, "--schema-only"))


if __name__ == "__main__":
    unittest.main()
