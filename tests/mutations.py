#!/usr/bin/env python3
"""Takes one promise out of the storage code at a time, and expects the core's tests to notice.

    tests/mutations.py             all mutants
    tests/mutations.py 3 7         these, by number
    tests/mutations.py --list      what they are

Each mutant is a file, a text in it, what takes its place, and the tests that must turn red. The working copy is changed
and put back, so src/ has to be clean. The run ends with an error when a mutant survives. A run of all takes some minutes
on an idle machine, nearly all of it compiling. docs/design/0004-mutations.md has the list and the last outcome.
"""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

MUTANTS = [
    ("a commit is acknowledged without fdatasync", "src/log/local.rs",
     "let synced = file.sync_data();",
     "let synced: Result<()> = Ok(());", "log::local"),
    ("a segment is left before it is synced", "src/log/local.rs",
     "state.current().file.sync_data().map_err(|error| state.fail(error))?;",
     "", "log::local"),
    ("the name of a segment is not made durable", "src/log/local.rs",
     "spares.files.retain(|file| file.path != spare);\n        self.fs.sync_dir(&self.dir)?;",
     "spares.files.retain(|file| file.path != spare);", "log::local"),
    ("records behind the cut are not wiped", "src/log/local.rs",
     "segment.file.write_all_at(&[0; RECORD_HEADER_BYTES], *ghost)?;",
     "let _ = ghost;", "log::local"),
    ("spares are written before their names are durable", "src/log/local.rs",
     "        self.fs.sync_dir(&self.dir)?;\n        self.spares.lock().files.append(&mut renamed);",
     "        self.spares.lock().files.append(&mut renamed);", "log::local"),
    ("the checksum of a log record is not compared", "src/log/segment.rs",
     "if found != checksum {\n            return bad(true",
     "if false {\n            return bad(true", "log::local"),
    ("a record of the manifest is not synced", "src/storage/manifest.rs",
     "file.write_all_at(&record, self.end)?;\n        file.sync_data()?;",
     "file.write_all_at(&record, self.end)?;", "storage::tests"),
    ("the switch of CURRENT is not made durable", "src/storage/manifest.rs",
     "fs.rename(&new, &dir.join(CURRENT))?;\n    fs.sync_dir(dir)",
     "fs.rename(&new, &dir.join(CURRENT))", "storage::tests"),
    ("CURRENT is renamed before it is synced", "src/storage/manifest.rs",
     "file.write_all_at(current_text(number).as_bytes(), 0)?;\n    file.sync_data()?;",
     "file.write_all_at(current_text(number).as_bytes(), 0)?;", "storage::tests"),
    ("the folder of new tables is not synced", "src/storage/sstable/writer.rs",
     "        self.context.fs.sync_dir(&self.folder())?;\n",
     "", "storage::tests"),
    ("the checksum of a block is not compared", "src/storage/sstable/frame.rs",
     "if computed != sum {",
     "if false {", "storage::tests::damage"),
    ("a checkpoint points past a log that is not durable", "src/database/checkpoint.rs",
     "        core.log.sync()?;\n",
     "", "database::tests"),
    ("vectors of the last commits before a checkpoint are not synced", "src/database/checkpoint.rs",
     "        core.sync_vectors(&moment.columns)?;\n",
     "", "database::tests"),
    ("the checksum of a vector is not compared", "src/vectors/view.rs",
     "if stored == computed {",
     "if true || stored == computed {", "vectors::"),
    ("rows are written into space that was given back", "src/table/write.rs",
     "runs().try_for_each(|run| column.reserve_slots(run))?;",
     "runs().try_for_each(|run| column.reserve(run[run.len() - 1] + 1))?;", "database::tests"),
    ("slots undone by ROLLBACK TO are free before the transaction ends", "src/table/savepoint.rs",
     "            self.log_way_back(&mark.overlay)?;",
     "            self.log_way_back(&mark.overlay)?;\n            self.table.give_back_slots(&self.taken - &mark.taken);",
     "database::tests"),
    ("a file of a backup is not synced", "src/database/backup/repository.rs",
     "fill(&*file, pace)?;\n    file.sync_data()?;",
     "fill(&*file, pace)?;", "database::backup"),
    ("a base counts before the names of its files are durable", "src/database/backup/repository.rs",
     "pub fn finish(&mut self, base: &Base) -> Result<()> {\n        self.sync_names()?;",
     "pub fn finish(&mut self, base: &Base) -> Result<()> {", "database::backup"),
    ("a restored file is not synced", "src/database/backup/restore.rs",
     "    target.sync_data()\n",
     "    Ok(())\n", "database::backup"),
    ("the folders of a restored directory are not synced", "src/database/backup/restore.rs",
     "folders.iter().try_for_each(|folder| fs.sync_dir(folder))",
     "folders.iter().try_for_each(|folder| fs.list(folder).map(drop))", "database::backup"),
    ("the checksum of a restored file is not compared", "src/database/backup/restore.rs",
     "compare(&from.join(&stored.stored), &stored.sum, sum.hex())?;",
     "", "database::backup"),
    ("the log is let go of before it is archived", "src/database/checkpoint.rs",
     "truncate_before(position.min(core.log_floor()))",
     "truncate_before(position)", "database::backup"),
    ("a checkpoint lets go of the log that a damaged table needs", "src/database/checkpoint.rs",
     "        kept\n    }",
     "        position\n    }", "database::tests"),
    ("a block that has what a snapshot does not see is taken whole", "src/storage/column_scan.rs",
     "if block.is_plain(snapshot) {",
     "if true {", "storage::tests::model"),
    ("the parts of a block of columns are not held against its bytes", "src/storage/sstable/columns.rs",
     "Some(end) if end <= self.bytes && u32::try_from(end).is_ok() => {",
     "Some(end) if u32::try_from(end).is_ok() => {", "storage::sstable::columns"),
    ("the way back of ROLLBACK TO gives up keys that a row only waited for", "src/table/savepoint.rs",
     "&& self.owner_in(overlay, own)? != Some(slot)",
     "&& false", "database::tests::parts"),
    ("the way back of ROLLBACK TO forgets the key of a row that is as it was", "src/table/savepoint.rs",
     "if is_same && now_keys == then_keys {",
     "if is_same {", "database::tests::parts"),
]


def test(tests):
    """Whether the tests are green; None when the mutant does not compile."""
    command = ["cargo", "test", "-q", "--no-default-features", "--lib"]
    if subprocess.run(command + ["--no-run"], cwd=ROOT, capture_output=True).returncode != 0:
        return None
    return subprocess.run(command + [tests], cwd=ROOT, capture_output=True).returncode == 0


def main():
    if sys.argv[1:] == ["--list"]:
        for number, (what, file, *_, tests) in enumerate(MUTANTS, 1):
            print(f"{number}. {what} ({file}; {tests})")
        return 0
    if subprocess.run(["git", "status", "--porcelain", "src"], cwd=ROOT, capture_output=True).stdout:
        sys.exit("src/ has changes that are not committed")
    chosen = [int(number) for number in sys.argv[1:]] or range(1, len(MUTANTS) + 1)
    survived = []
    for number in chosen:
        what, file, before, after, tests = MUTANTS[number - 1]
        path = ROOT / file
        text = path.read_text()
        if text.count(before) != 1:
            sys.exit(f"{number}. {what}: the text is {text.count(before)} times in {file}")
        path.write_text(text.replace(before, after))
        try:
            green = test(tests)
        finally:
            path.write_text(text)
        outcome = {True: "SURVIVED", False: "noticed", None: "DOES NOT COMPILE"}[green]
        print(f"{number}. {what}: {outcome}", flush=True)
        if green is not False:
            survived.append(number)
    return len(survived)


if __name__ == "__main__":
    sys.exit(main())
