//! What a check of backups and of an archive tells is what a restore meets.

use super::damage::Damage;
use super::*;
use crate::error::Error;
use crate::log::PieceName;

/// Two backups that share files, and an archive behind the second; of the database nothing is left.
fn kept() -> (World, MemoryFs) {
    let mut world = lived();
    world.run(Step::Backup);
    world.run(Step::Insert(800, 3));
    world.with_log_archived();
    let kept = world.fs.crash(0);
    kept.remove_dir_all(Path::new(DB)).unwrap();
    (world, kept)
}

fn checked(fs: &MemoryFs, archive: Option<&Path>) -> (CheckedBackups, Vec<Error>) {
    let mut told = Vec::new();
    let found = check_backups(fs, Path::new(BACKUPS), archive, &mut |error| told.push(error)).unwrap();
    assert_eq!(found.problems, told.len() as u64);
    (found, told)
}

fn checked_archive(fs: &MemoryFs) -> (CheckedArchive, Vec<Error>) {
    let mut told = Vec::new();
    let found = check_archive(fs, Path::new(ARCHIVE), &mut |error| told.push(error)).unwrap();
    assert_eq!(found.problems, told.len() as u64);
    (found, told)
}

/// What each backup can be restored up to is restored, and is what was there then, when those after it and those that
/// cannot be read are gone.
fn restores_what_it_tells(world: &World, fs: &MemoryFs, found: &CheckedBackups, case: &str) {
    let archive = Some(Path::new(ARCHIVE));
    let paths = repository::base_files(fs, Path::new(BACKUPS)).unwrap();
    let is_after = |path: &&PathBuf, last: Position| {
        repository::read_base(fs, path).is_err() || repository::read_base(fs, path).unwrap().last > last.0
    };
    for (number, backup) in found.backups.iter().enumerate() {
        let fs = fs.crash(1);
        let others = paths.iter().filter(|path| is_after(path, backup.last));
        others.for_each(|path| fs.remove_file(path).unwrap());
        let to = backup.restorable.map_or(backup.last, |moment| moment.position);
        let outcome = restore(&fs, Path::new(BACKUPS), archive, Path::new("/r"), Target::Position(to), 5);
        match (backup.restorable, outcome) {
            (None, Err(_)) => {}
            (None, Ok(_)) => panic!("{case}: backup {number} is restored, which it should not be"),
            (Some(_), Err(error)) => panic!("{case}: backup {number} is not restored: {error}"),
            (Some(moment), Ok(done)) => {
                assert_eq!((done.last, done.time), (Some(moment.position), moment.time), "{case}");
                let database = Database::open(Arc::new(fs), Path::new("/r"), options()).unwrap();
                let rows: Rows = all(&database, world.table).into_iter().collect();
                let (.., then) = &world.history[world.number_of(to.0)];
                assert_eq!(rows, *then, "{case}: backup {number}");
            }
        }
    }
}

#[test]
fn whole_backups_can_be_restored_up_to_the_end_of_the_archive() {
    let (world, fs) = kept();
    let (found, told) = checked(&fs, Some(Path::new(ARCHIVE)));
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(found.backups.len(), 2);
    assert!(found.files > 5 && found.bytes > 0 && found.pieces > 2, "{found:?}");
    let end = found.backups[1].restorable.unwrap();
    assert_eq!(found.backups[0].restorable, Some(end), "both reach the end of the archive");
    assert!(end.position > found.backups[1].last);
    restores_what_it_tells(&world, &fs, &found, "whole");
    // Without the archive only what the second has itself.
    let (alone, told) = checked(&fs, None);
    assert!(told.is_empty(), "{told:?}");
    assert!(alone.backups[1].restorable.unwrap().position < end.position);
    let (archive, told) = checked_archive(&fs);
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(archive.pieces, PieceName::list(&fs, Path::new(ARCHIVE)).unwrap().len() as u64);
    assert_eq!(archive.bytes, archive.end.unwrap().0 - archive.first.unwrap().0);
}

/// Every file with a byte flipped, cut or gone: the check names it, or a restore is none the worse for it.
#[test]
fn damage_is_told_and_what_is_said_to_be_restorable_is() {
    let (world, kept) = kept();
    let (whole, _) = checked(&kept, Some(Path::new(ARCHIVE)));
    let (mut silent, mut lost) = (0, 0);
    let all = [BACKUPS, ARCHIVE].iter().flat_map(|folder| files(&kept, Path::new(folder)));
    for path in all.filter(|path| !path.ends_with("LOCK")) {
        let len = kept.open(&path, OpenMode::Read).unwrap().len().unwrap();
        for damage in Damage::of(len).into_iter().step_by(5) {
            let fs = kept.crash(1);
            damage.inflict(&fs, &path);
            let case = format!("{} {damage:?}", path.display());
            let (found, told) = checked(&fs, Some(Path::new(ARCHIVE)));
            let (_, of_archive) = checked_archive(&fs);
            let told: Vec<&Error> = told.iter().chain(&of_archive).collect();
            if found == whole && told.is_empty() {
                silent += 1;
            } else if found.backups != whole.backups {
                lost += 1;
                let names = told.iter().any(|error| error.message().contains(&path.display().to_string()));
                let is_gone = matches!(damage, Damage::Gone);
                assert!(names || is_gone, "{case}: {told:?}");
            }
            restores_what_it_tells(&world, &fs, &found, &case);
        }
    }
    println!("{silent} silent, {lost} lost");
    assert!(lost > 20 && silent < lost, "{silent} silent, {lost} lost");
}

#[test]
fn files_and_their_places_are_named() {
    let (_, kept) = kept();
    let base = &bases(&kept, Path::new(BACKUPS)).unwrap()[1];
    let file = base.files.iter().find(|file| file.path.ends_with(".sst")).unwrap();
    let path = Path::new(BACKUPS).join(&file.stored);
    let message = |damage: Damage| {
        let fs = kept.crash(1);
        damage.inflict(&fs, &path);
        let (found, told) = checked(&fs, Some(Path::new(ARCHIVE)));
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(found.backups[1].restorable, None);
        told[0].message().to_owned()
    };
    let flipped = message(Damage::Flipped(3));
    let named = format!("{} is damaged at offset 0: expected checksum {}", path.display(), file.sum);
    assert!(flipped.starts_with(&named), "{flipped}");
    let cut = message(Damage::Cut(9));
    assert!(cut.starts_with(&format!("{} is damaged at offset 9", path.display())), "{cut}");
    let gone = message(Damage::Gone);
    assert!(gone.contains(&path.display().to_string()), "{gone}");
}

#[test]
fn gaps_are_told() {
    let mut world = lived();
    (0..60).for_each(|round| world.run(Step::Insert(6_000 + round * 10, 5)));
    world.run(Step::Archive);
    let kept = world.fs.crash(1);
    let names = PieceName::list(&kept, Path::new(ARCHIVE)).unwrap();
    let gone = &names[names.len() - 2];
    kept.remove_file(&Path::new(ARCHIVE).join(gone.file_name())).unwrap();
    let (_, told) = checked_archive(&kept);
    assert_eq!(told.len(), 1);
    let detail = |error: &Error| error.fields().detail.clone().unwrap();
    let expected = format!("The log ends at position {}, and goes on at {}.", gone.first.0, gone.end.0);
    assert_eq!(detail(&told[0]), expected);
    let (found, told) = checked(&kept, Some(Path::new(ARCHIVE)));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].state(), SqlState::UNDEFINED_FILE);
    let restorable = found.backups[0].restorable.unwrap().position;
    assert!(restorable < gone.first && restorable > found.backups[0].last);
    restores_what_it_tells(&world, &kept, &found, "a gap");
}

#[test]
fn folders_are_told_apart() {
    let (_, fs) = kept();
    assert_eq!(folder_of(&fs, Path::new(BACKUPS)).unwrap(), Some(Folder::Backups));
    assert_eq!(folder_of(&fs, Path::new(ARCHIVE)).unwrap(), Some(Folder::Archive));
    assert_eq!(folder_of(&fs, Path::new("/nothing")).unwrap(), None);
    assert_eq!(folder_of(&*lived().fs, Path::new(DB)).unwrap(), None);
    let error = check_backups(&fs, Path::new(ARCHIVE), None, &mut |_| {}).unwrap_err();
    assert_eq!(error.state(), SqlState::UNDEFINED_FILE, "{error}");
    let error = check_backups(&fs, Path::new(BACKUPS), Some(Path::new("/none")), &mut |_| {}).unwrap_err();
    assert_eq!(error.state(), SqlState::UNDEFINED_FILE, "{error}");
    // Pieces of two databases in one archive.
    let name = PieceName::list(&fs, Path::new(ARCHIVE)).unwrap().pop().unwrap();
    let mut piece = crate::log::Piece::read(&fs, Path::new(ARCHIVE), &name).unwrap();
    piece.cluster += 1;
    let file = fs.open(&Path::new(ARCHIVE).join(name.file_name()), OpenMode::ReadWrite).unwrap();
    file.truncate(0).unwrap();
    file.write_all_at(&piece.encode().unwrap(), 0).unwrap();
    let (_, told) = checked_archive(&fs);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].message().contains("of another database"), "{told:?}");
}
