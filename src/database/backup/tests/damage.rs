//! Damage to backups and to the archive.

use super::*;
use crate::log::PieceName;

/// What may become of a file.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    Flipped(u64),
    Cut(u64),
    Gone,
}

impl Damage {
    /// All of a file of so many bytes; some of them unless `HITHER_DAMAGE=full`.
    pub fn of(len: u64) -> Vec<Damage> {
        let full = std::env::var("HITHER_DAMAGE").as_deref() == Ok("full");
        let step = |places: usize| if full { 1 } else { (len as usize / places).max(1) | 1 };
        let flipped = (0..len).step_by(step(12)).map(Damage::Flipped);
        let cut = (0..len).step_by(step(5)).map(Damage::Cut);
        flipped.chain(cut).chain([Damage::Gone]).collect()
    }

    pub fn inflict(self, fs: &MemoryFs, path: &Path) {
        let file = fs.open(path, OpenMode::ReadWrite).unwrap();
        match self {
            Damage::Flipped(at) => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 1 << (at % 8)], at).unwrap();
            }
            Damage::Cut(len) => file.truncate(len).unwrap(),
            Damage::Gone => fs.remove_file(path).unwrap(),
        }
    }
}

/// Every file of a folder of backups and of an archive, with a byte flipped, cut or gone: what is restored, to the newest
/// commit and to one before the newest backup, is what was there then, or it is refused and the file is named.
/// `HITHER_DAMAGE=full cargo test --release --no-default-features --lib a_damaged_backup` takes every byte and length.
#[test]
fn a_damaged_backup_is_no_wrong_database() {
    let mut world = lived();
    let early = world.history.len() - 2;
    world.run(Step::Backup);
    world.run(Step::Insert(800, 3));
    let last = world.with_log_archived();
    world.run(Step::Delete(0, 40));
    // Nothing but what a restore has.
    let kept = world.fs.crash(1);
    kept.remove_dir_all(Path::new(DB)).unwrap();
    let oldest = world.number_of(bases(&kept, Path::new(BACKUPS)).unwrap()[0].last);
    let restored = |fs: MemoryFs, target| {
        restore(&fs, Path::new(BACKUPS), Some(Path::new(ARCHIVE)), Path::new("/r"), target, 5)?;
        let database = Database::open(Arc::new(fs), Path::new("/r"), options())?;
        Ok::<Rows, crate::error::Error>(all(&database, world.table).into_iter().collect())
    };
    let targets = [(Target::Position(world.history[early].0), early), (Target::Latest, last)];
    // An archive may have more than the commit that is known to be in it.
    let newest = restored(kept.crash(1), Target::Latest).unwrap();
    assert!(world.history[last..].iter().any(|(.., rows)| *rows == newest));
    let (mut right, mut refused) = (0, 0);
    for path in [BACKUPS, ARCHIVE].iter().flat_map(|folder| files(&kept, Path::new(folder))) {
        let len = kept.open(&path, OpenMode::Read).unwrap().len().unwrap();
        let is_known_by_name =
            path.extension().is_some_and(|extension| extension == "piece" || extension == "base");
        for damage in Damage::of(len) {
            for (target, number) in targets {
                let fs = kept.crash(1);
                damage.inflict(&fs, &path);
                let case = format!("{target:?} of {} {damage:?}", path.display());
                let error = match restored(fs, target) {
                    Ok(rows) => {
                        let expected = if number == early { &world.history[early].2 } else { &newest };
                        // Nobody knows of a base or a piece that is gone, unless another base needs it.
                        let is_earlier = matches!(damage, Damage::Gone)
                            && is_known_by_name
                            && number == last
                            && world.history[oldest..].iter().any(|(.., known)| *known == rows);
                        assert!(rows == *expected || is_earlier, "{case}: {rows:?}");
                        right += 1;
                        continue;
                    }
                    Err(error) => error,
                };
                refused += 1;
                let allowed = match damage {
                    Damage::Gone => ["XX001", "58P01", "22023"],
                    _ => ["XX001", "55000", "55000"],
                };
                assert!(allowed.contains(&error.state().0), "{case}: {} {error}", error.state().0);
                let is_named = error.message().contains(&path.display().to_string());
                // What is gone has no name any more but in a base: the log ends where it began.
                let ends = [
                    "the log of the backup ends at position",
                    "recovery ended before",
                    "a piece of the log is missing",
                ];
                let is_told = matches!(damage, Damage::Gone)
                    && is_known_by_name
                    && (ends.iter().any(|words| error.message().contains(words))
                        || error.message().contains("oldest backup"));
                assert!(is_named || is_told, "{case}: {error}");
            }
        }
    }
    println!("{refused} refused, {right} right");
    assert!(refused > 200 && right > 100, "{refused} refused, {right} right");
}

#[test]
fn a_gap_in_the_archive_is_told() {
    let mut world = lived();
    for round in 0..3 {
        world.run(Step::Insert(900 + round * 10, 3));
        world.with_log_archived();
    }
    let restored = |target| {
        restore(&*world.fs, Path::new(BACKUPS), Some(Path::new(ARCHIVE)), Path::new("/r"), target, 5)
    };
    let names = PieceName::list(&*world.fs, Path::new(ARCHIVE)).unwrap();
    let gone = &names[names.len() - 2];
    world.fs.remove_file(&Path::new(ARCHIVE).join(gone.file_name())).unwrap();
    let error = restored(Target::Latest).unwrap_err();
    assert_eq!(error.state(), SqlState::UNDEFINED_FILE, "{error}");
    // A backup may have the begin of that piece.
    let detail = error.fields().detail.clone().unwrap();
    assert!(detail.ends_with(&format!("and goes on at {}.", gone.end.0)), "{detail}");
    // What the hint names is there.
    let hint = error.fields().hint.clone().unwrap();
    let position: u64 = hint.rsplit(' ').next().unwrap().trim_end_matches('.').parse().unwrap();
    assert_eq!(restored(Target::Position(Position(position))).unwrap().last, Some(Position(position)));
}
