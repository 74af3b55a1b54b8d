"""One server for all client tests: HITHER_URL names a running one, HITHER_BINARY a binary to start.

Each test module gets a schema-clean start by dropping the tables it makes; the data directory is a fresh one.
"""
import atexit
import os
import shutil
import subprocess
import tempfile
import unittest
from urllib.parse import urlparse

_url = os.environ.get("HITHER_URL")


def url():
    """postgres://user@host:port/database"""
    global _url
    if _url is None:
        _url = start(os.environ.get("HITHER_BINARY", "hither"))
    return _url


def dsn():
    """The same in libpq's words."""
    parts = urlparse(url())
    return f"host={parts.hostname} port={parts.port} user={parts.username} dbname={parts.path[1:]}"


def address():
    """The same as keyword arguments."""
    parts = urlparse(url())
    return {"user": parts.username, "host": parts.hostname, "port": parts.port, "database": parts.path[1:]}


def skip_if_refused(script):
    """Skips what needs a feature that is not there yet: one that answers 0A000. Every other error is an error."""
    done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", url()],
                          input=f"BEGIN; {script}; ROLLBACK;", capture_output=True, text=True, timeout=60)
    if done.returncode == 0:
        return
    if "0A000" not in done.stderr:
        raise RuntimeError(done.stderr)
    raise unittest.SkipTest(done.stderr.strip().splitlines()[0])


def start(binary):
    """A server of its own until the tests end; its url."""
    folder = tempfile.mkdtemp(prefix="hither-clients-")
    log = open(os.path.join(folder, "log"), "w")
    command = [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", os.path.join(folder, "data")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    line = process.stdout.readline()
    if not line.startswith("ready: "):
        raise RuntimeError(f"the server did not start: {open(log.name).read()}")

    def stop():
        process.terminate()
        code = process.wait(60)
        text = open(log.name).read()
        shutil.rmtree(folder, ignore_errors=True)
        if code != 0 or "panicked" in text:
            print(text)
            print(f"the server ended with exit code {code}")
            os._exit(1)

    atexit.register(stop)
    return line.removeprefix("ready: ").strip()
