"""The examples do what they say."""
import os
import subprocess
import sys
import unittest

import server

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Examples(unittest.TestCase):
    def test_quickstart(self):
        shown = run("psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", server.url(), "-f", f"{EXAMPLES}/quickstart.sql")
        self.assertIn("coffee grinder", shown)
        self.assertIn("(2 rows)", shown)
        self.assertIn("moka pot", shown)

    def test_filtered_search(self):
        shown = run(sys.executable, f"{EXAMPLES}/filtered_search.py", server.url())
        # Three questions with five rows, one with the three that match.
        self.assertEqual(shown.count(" at "), 18)

    def test_bulk_copy(self):
        binary = os.environ.get("HITHER_EXAMPLES")
        if binary is None:
            self.skipTest("HITHER_EXAMPLES names no folder with the built examples")
        shown = run(os.path.join(binary, "bulk_copy"), server.url())
        self.assertIn("10000 rows", shown)
        self.assertEqual(shown.count("nearest to"), 2)


if __name__ == "__main__":
    unittest.main()
