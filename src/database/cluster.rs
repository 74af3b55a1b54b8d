//! The databases of one data directory.
//!
//! ```text
//!  data directory
//!    CONTROL LOCK log/ tables/ ...      the database `postgres`, which is always there
//!    DATABASES                          the names of the others
//!    databases/16400/                   one of them: a data directory of its own, with a log of its own
//!    databases/16401/
//! ```
//!
//! A database shares nothing on disk with its neighbours: no transaction reads or writes two of them. So each is a
//! [`Database`] in a folder, and all there is to keep together is the list. In memory they have one budget
//! (`shared_memory.rs`).
//!
//! ```text
//!  DATABASES
//!  | "HITHERDL" 8 | version 4 | last oid 4 | count 4 | (oid 4, name: varint length, bytes) * count | crc32c 4 |
//! ```
//!
//! DATABASES is replaced as a whole, as CONTROL is, by a file that lies ready (DATABASES.new): a full disk does not keep
//! a database from being dropped. A new database is made first and listed then; one that goes is struck off first and
//! removed then. So a crash leaves at most a folder that is not listed, and the next open removes it. A list that is
//! missing, or a listed folder that is, is no crash's work: nothing is removed or made anew in its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::FIRST_USER_OID;
use crate::codec::{Reader, put_str, put_u32};
use crate::database::{Database, Options};
use crate::error::{Error, Result, SqlState};
use crate::fs::{self, Fs, Lines, OpenMode};

/// The database that every data directory has.
pub const MAIN_DATABASE: &str = "postgres";
/// Its oid, which is that of PostgreSQL's.
pub const MAIN_DATABASE_OID: u32 = 5;

const LIST: &str = "DATABASES";
/// The next list, before it is the list.
const BESIDE: &str = "DATABASES.new";
/// A page, which is enough for some fifty names.
const READY_BYTES: u64 = 4096;
/// The folder of the databases beside `postgres`.
pub(super) const FOLDER: &str = "databases";
const MAGIC: &[u8; 8] = b"HITHERDL";
const VERSION: u32 = 1;
/// The log of a database that is made by CREATE DATABASE begins with a segment of this size and a spare one, which are
/// filled with zeros: test suites make and drop a database for each run.
const LOG_SEGMENT_BYTES: u64 = 16 << 20;

/// The open databases of a data directory.
pub struct Cluster {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    options: Options,
    main: Arc<Database>,
    others: Mutex<Others>,
}

struct Others {
    list: List,
    /// What came of opening each.
    open: BTreeMap<u32, Opened>,
    /// Why nobody knows what the list on disk says: a change of it failed, and so did taking it back.
    unknown: Option<Error>,
}

/// A database, or why it does not open.
pub type Opened = Result<Arc<Database>>;

/// What DATABASES says.
#[derive(Clone, Default)]
struct List {
    /// Numbers do not come again: a folder that could not be removed is nobody's.
    last_oid: u32,
    oids: BTreeMap<String, u32>,
}

/// A database by its name.
#[derive(Clone)]
pub struct Member {
    pub name: String,
    pub oid: u32,
    pub database: Opened,
}

impl Cluster {
    /// Opens or creates the data directory with all its databases. One that does not open is told in the log, and does
    /// not keep the others from being served.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Cluster> {
        let options = Options { home: Some(dir.to_path_buf()), ..options }.sharing();
        let main = Database::open(fs.clone(), dir, options.clone())?;
        let list = List::read(&*fs, dir)?;
        remove_unlisted(&*fs, dir, &list)?;
        let mut open = BTreeMap::new();
        for (name, &oid) in &list.oids {
            let opened = open_listed(&fs, dir, &options, oid);
            if let Err(error) = &opened {
                log::error!("the database \"{name}\" does not open: {error}");
            }
            open.insert(oid, opened);
        }
        let others = Mutex::new(Others { list, open, unknown: None });
        Ok(Cluster { fs, dir: dir.to_path_buf(), options, main, others })
    }

    /// The database `postgres`.
    pub fn main(&self) -> &Arc<Database> {
        &self.main
    }

    /// All databases: `postgres`, then the others by name.
    pub fn members(&self) -> Vec<Member> {
        let others = self.others.lock();
        let database = Ok(self.main.clone());
        let main = Member { name: MAIN_DATABASE.into(), oid: MAIN_DATABASE_OID, database };
        let rest = others.list.oids.iter().filter_map(|(name, oid)| {
            let database = others.open.get(oid)?.clone();
            Some(Member { name: name.clone(), oid: *oid, database })
        });
        std::iter::once(main).chain(rest).collect()
    }

    /// Makes an empty database. Durable when this returns. 42P04 when there is one of this name.
    pub fn create(&self, name: &str) -> Result<Member> {
        let mut others = self.others.lock();
        others.list.check_free(name)?;
        if !self.fs.exists(&self.dir.join(LIST)) {
            // A folder without a list is not what a crash leaves.
            self.replace(&mut others, List::default())?;
        }
        let mut list = others.list.clone();
        list.last_oid = list.next_oid();
        let oid = list.last_oid;
        let path = folder(&self.dir, oid);
        // What an error may have left under a number that was never listed.
        if !self.fs.list(&path)?.is_empty() {
            self.fs.remove_dir_all(&path)?;
        }
        let made = Database::open(self.fs.clone(), &path, options_of(&self.options, oid));
        let database = made.inspect_err(|_| self.remove_folder(oid))?;
        list.oids.insert(name.to_owned(), oid);
        if let Err(error) = self.replace(&mut others, list) {
            database.abandon();
            if others.unknown.is_none() {
                self.remove_folder(oid);
            }
            return Err(error);
        }
        others.open.insert(oid, Ok(database.clone()));
        Ok(Member { name: name.to_owned(), oid, database: Ok(database) })
    }

    /// Strikes a database off the list and removes its files. Nobody may be using it. 3D000 when there is none.
    pub fn remove(&self, name: &str) -> Result<()> {
        let mut others = self.others.lock();
        let mut list = others.list.clone();
        let oid = list.oids.remove(name).ok_or_else(|| undefined(name))?;
        self.replace(&mut others, list)?;
        if let Some(Ok(database)) = others.open.remove(&oid) {
            database.abandon();
        }
        self.remove_folder(oid);
        Ok(())
    }

    /// Calls a database something else. 3D000 when there is none, 42P04 when the new name is taken.
    pub fn rename(&self, name: &str, to: &str) -> Result<()> {
        let mut others = self.others.lock();
        let mut list = others.list.clone();
        let oid = list.oids.remove(name).ok_or_else(|| undefined(name))?;
        others.list.check_free(to)?;
        list.oids.insert(to.to_owned(), oid);
        self.replace(&mut others, list)
    }

    /// Closes all of them in order; the first error is told after the last one was closed.
    pub fn close(&self) -> Result<()> {
        let open = self.members().into_iter().filter_map(|member| member.database.ok());
        let closed: Vec<Result<()>> = open.map(|database| database.close()).collect();
        closed.into_iter().collect()
    }

    /// Puts another list in the place of the one on disk. When that fails the old one is there again; when that fails
    /// too, nobody knows which of them a restart will find, and there are no more changes until then.
    fn replace(&self, others: &mut Others, list: List) -> Result<()> {
        if let Some(error) = &others.unknown {
            return Err(error.clone());
        }
        let written = list.write(&*self.fs, &self.dir);
        let Err(error) = written else {
            others.list = list;
            return Ok(());
        };
        let is_first = !self.fs.exists(&self.dir.join(LIST));
        if !is_first && let Err(again) = others.list.write(&*self.fs, &self.dir) {
            log::error!("{again}; the list of databases is not known to be as it was");
            let message = "the list of databases is in an unknown state";
            let unknown = Error::new(SqlState::IO_ERROR, message).detail(error.message().to_owned());
            others.unknown = Some(unknown.hint("Restart the server."));
        }
        Err(error)
    }

    /// What stays is removed by the next open, so that it is enough to tell.
    fn remove_folder(&self, oid: u32) {
        if let Err(error) = self.fs.remove_dir_all(&folder(&self.dir, oid)) {
            log::warn!("{error}; the next start removes what is left of the database {oid}");
        }
    }
}

/// Whether a file is DATABASES, and then what it says.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    if !fs::begins_with(fs, path, MAGIC)? {
        return Ok(false);
    }
    let list = List::read_file(fs, path)?;
    out(format!(
        "list of {} databases beside {MAIN_DATABASE}, last number {}",
        list.oids.len(),
        list.last_oid
    ))?;
    for (name, oid) in &list.oids {
        out(format!("{FOLDER}/{oid}  \"{name}\""))?;
    }
    Ok(true)
}

/// Names and folders of the databases beside `postgres`. XX001 when the list is damaged or missing.
pub fn listed(fs: &dyn Fs, dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let list = List::read(fs, dir)?;
    unlisted(fs, dir, &list)?;
    Ok(list.oids.into_iter().map(|(name, oid)| (name, folder(dir, oid))).collect())
}

fn folder(dir: &Path, oid: u32) -> PathBuf {
    dir.join(FOLDER).join(oid.to_string())
}

/// A small log of its own, archived apart from the others.
fn options_of(options: &Options, oid: u32) -> Options {
    let mut own = options.clone();
    own.log_segment_bytes = own.log_segment_bytes.min(LOG_SEGMENT_BYTES);
    own.archive.dir = own.archive.dir.map(|dir| folder(&dir, oid));
    own
}

/// Opens a database that the list names; it is not made anew.
fn open_listed(fs: &Arc<dyn Fs>, dir: &Path, options: &Options, oid: u32) -> Opened {
    let path = folder(dir, oid);
    if !fs.exists(&path.join("CONTROL")) {
        let message = format!("\"{}\" is missing, or has no file CONTROL", path.display());
        return Err(Error::new(SqlState::DATA_CORRUPTED, message));
    }
    Database::open(fs.clone(), &path, options_of(options, oid))
}

/// Folders that a crash left: of databases that were being made or dropped. Nothing else is touched.
fn remove_unlisted(fs: &dyn Fs, dir: &Path, list: &List) -> Result<()> {
    for path in unlisted(fs, dir, list)? {
        log::info!("removing \"{}\", which a crash has left", path.display());
        fs.remove_dir_all(&path)?;
    }
    Ok(())
}

/// The folders that no list names. XX001 when there are some and no list.
fn unlisted(fs: &dyn Fs, dir: &Path, list: &List) -> Result<Vec<PathBuf>> {
    let folder = dir.join(FOLDER);
    let names = fs.list(&folder)?;
    if let Some(name) = names.first().filter(|_| !fs.exists(&dir.join(LIST))) {
        let message = format!("\"{}\" is missing", dir.join(LIST).display());
        return Err(Error::new(SqlState::DATA_CORRUPTED, message)
            .detail(format!("There is \"{}\".", folder.join(name).display()))
            .hint("Put the file back, or move the folders away to go on without their databases."));
    }
    let is_ours = |name: &PathBuf| {
        let oid = name.to_str().and_then(|name| name.parse::<u32>().ok());
        oid.is_some_and(|oid| oid <= list.next_oid() && !list.oids.values().any(|listed| *listed == oid))
    };
    Ok(names.iter().filter(|name| is_ours(name)).map(|name| folder.join(name)).collect())
}

/// A file for the next list, with room for it.
fn lay_ready(fs: &dyn Fs, beside: &Path) -> Result<()> {
    let file = fs.open(beside, OpenMode::Create)?;
    file.allocate(READY_BYTES)?;
    file.sync_data()
}

/// 3D000: there is no database of this name.
pub fn undefined(name: &str) -> Error {
    Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
}

/// 42P04: the name of a database is taken.
pub fn duplicate(name: &str) -> Error {
    Error::new(SqlState::DUPLICATE_DATABASE, format!("database \"{name}\" already exists"))
}

impl List {
    /// The number of the next database.
    fn next_oid(&self) -> u32 {
        (self.last_oid + 1).max(FIRST_USER_OID)
    }

    fn check_free(&self, name: &str) -> Result<()> {
        if name != MAIN_DATABASE && !self.oids.contains_key(name) {
            return Ok(());
        }
        Err(duplicate(name))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put_u32(&mut bytes, VERSION);
        put_u32(&mut bytes, self.last_oid);
        put_u32(&mut bytes, self.oids.len() as u32);
        for (name, oid) in &self.oids {
            put_u32(&mut bytes, *oid);
            put_str(&mut bytes, name);
        }
        let checksum = crc32c::crc32c(&bytes);
        put_u32(&mut bytes, checksum);
        bytes
    }

    fn write(&self, fs: &dyn Fs, dir: &Path) -> Result<()> {
        let (path, beside) = (dir.join(LIST), dir.join(BESIDE));
        let bytes = self.encode();
        let file = match fs.exists(&beside) {
            true => fs.open(&beside, OpenMode::ReadWrite)?,
            false => fs.open(&beside, OpenMode::Create)?,
        };
        file.write_all_at(&bytes, 0)?;
        file.truncate(bytes.len() as u64)?;
        file.sync_data()?;
        fs.rename(&beside, &path)?;
        fs.sync_dir(dir)?;
        if let Err(error) = lay_ready(fs, &beside) {
            log::debug!("{error}; the next change of the list of databases needs room on the disk");
        }
        Ok(())
    }

    /// Empty where there is no file. XX001 for damage; 55000 for a newer version.
    fn read(fs: &dyn Fs, dir: &Path) -> Result<List> {
        let path = dir.join(LIST);
        if fs.exists(&path) { List::read_file(fs, &path) } else { Ok(List::default()) }
    }

    fn read_file(fs: &dyn Fs, path: &Path) -> Result<List> {
        let name = path.display().to_string();
        let file = fs.open(path, OpenMode::Read)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
        let mut reader = Reader::new(&bytes).named(&name, 0);
        let magic = reader.take(8)?;
        if magic != MAGIC {
            return Err(reader.corrupt("the bytes HITHERDL", format!("{magic:?}")));
        }
        let version = reader.u32()?;
        if version > VERSION {
            let message =
                format!("{name}: it has version {version}, and this program knows versions up to {VERSION}");
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Open it with the version of Hither that wrote it, or a newer one."));
        }
        let checked = bytes.len().saturating_sub(4);
        let expected = crc32c::crc32c(&bytes[..checked]);
        let found = Reader::new(&bytes[checked..]).named(&name, checked as u64).u32()?;
        if found != expected {
            return Err(reader.corrupt(format!("checksum {expected:08x}"), format!("{found:08x}")));
        }
        let mut list = List { last_oid: reader.u32()?, oids: BTreeMap::new() };
        for _ in 0..reader.u32()? {
            let oid = reader.u32()?;
            list.oids.insert(reader.str()?.to_owned(), oid);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::faulty::{Fault, FaultyFs, Op, What};
    use crate::fs::memory::MemoryFs;
    use std::sync::atomic::{AtomicU64, Ordering};

    const DIR: &str = "/data";

    fn open(fs: Arc<dyn Fs>) -> Result<Cluster> {
        Cluster::open(
            fs,
            Path::new(DIR),
            Options { background: false, log_segment_bytes: 1 << 16, ..Options::default() },
        )
    }

    fn names(cluster: &Cluster) -> Vec<String> {
        cluster.members().into_iter().map(|member| member.name).collect()
    }

    #[test]
    fn databases_come_go_and_are_found_again() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let cluster = open(fs.clone()).unwrap();
        assert_eq!(names(&cluster), ["postgres"]);
        let shop = cluster.create("shop").unwrap();
        assert_eq!(cluster.create("shop").err().map(|e| e.state()), Some(SqlState::DUPLICATE_DATABASE));
        assert_eq!(cluster.create("postgres").err().map(|e| e.state()), Some(SqlState::DUPLICATE_DATABASE));
        cluster.create("blog").unwrap();
        cluster.rename("shop", "store").unwrap();
        assert_eq!(
            cluster.rename("store", "blog").err().map(|e| e.state()),
            Some(SqlState::DUPLICATE_DATABASE)
        );
        cluster.remove("blog").unwrap();
        assert_eq!(cluster.remove("blog").err().map(|e| e.state()), Some(SqlState::INVALID_CATALOG_NAME));
        assert_eq!(names(&cluster), ["postgres", "store"]);
        cluster.close().unwrap();
        drop((shop.database.unwrap(), cluster));
        let again = open(fs).unwrap();
        let members = again.members();
        assert_eq!(
            members.iter().map(|m| (m.name.as_str(), m.oid)).collect::<Vec<_>>(),
            [("postgres", 5), ("store", shop.oid)]
        );
        assert!(
            again.create("new").unwrap().oid > shop.oid + 1,
            "the number of a dropped database came again"
        );
    }

    /// The list names what was acknowledged, give or take the change under way; everything listed opens; no folder is
    /// left that is not listed.
    #[test]
    fn a_crash_at_any_operation_leaves_a_list_of_databases_that_open() {
        let changes: [fn(&Cluster) -> Result<()>; 4] = [
            |cluster| cluster.create("a").map(drop),
            |cluster| cluster.create("b").map(drop),
            |cluster| cluster.rename("a", "c"),
            |cluster| cluster.remove("b"),
        ];
        let states = [vec![], vec!["a"], vec!["a", "b"], vec!["b", "c"], vec!["c"]];
        let memory = MemoryFs::new();
        open(Arc::new(memory.clone())).unwrap().close().unwrap();
        let (fs, faults) = FaultyFs::new(memory.clone());
        let cluster = open(fs).unwrap();
        let done = Arc::new(AtomicU64::new(0));
        let crashes = Arc::new(Mutex::new(Vec::new()));
        faults.observe(Op::CHANGES, {
            let (done, crashes, memory) = (done.clone(), crashes.clone(), memory.clone());
            move |_, _| {
                let mut crashes = crashes.lock();
                let seed = crashes.len() as u64;
                crashes.push((done.load(Ordering::Relaxed) as usize, memory.crash(seed)));
            }
        });
        for change in changes {
            change(&cluster).unwrap();
            done.fetch_add(1, Ordering::Relaxed);
        }
        let crashes = std::mem::take(&mut *crashes.lock());
        assert!(crashes.len() > 40, "only {} operations", crashes.len());
        for (done, after) in crashes {
            let fs: Arc<dyn Fs> = Arc::new(after);
            let cluster = open(fs.clone()).unwrap_or_else(|error| panic!("after {done} changes: {error}"));
            let found = names(&cluster).split_off(1);
            let next = states.get(done + 1).unwrap_or(&states[done]);
            assert!(found == states[done] || found == *next, "after {done} changes: {found:?}");
            let folders = fs.list(&Path::new(DIR).join(FOLDER)).unwrap();
            assert_eq!(folders.len(), found.len(), "after {done} changes: {folders:?}");
            assert!(cluster.members().iter().all(|member| member.database.is_ok()), "after {done} changes");
        }
    }

    /// Whatever fails, what was refused is not there after a restart, unless the server said that it does not know.
    #[test]
    fn a_failed_operation_leaves_the_list_as_it_was() {
        for at in 1.. {
            let memory = MemoryFs::new();
            let (fs, faults) = FaultyFs::new(memory.clone());
            let cluster = open(fs).unwrap();
            cluster.create("a").unwrap();
            faults.arm(Fault { at, on: Op::CHANGES, what: What::Fail(std::io::ErrorKind::Other) });
            // Refused or not, what the members are afterwards is what counts.
            let _ = (cluster.create("b"), cluster.rename("a", "c"), cluster.remove("c"));
            let reached = faults.met() >= at;
            faults.disarm();
            let known = names(&cluster);
            let unknown = cluster.others.lock().unknown.is_some();
            drop(cluster);
            let again = open(Arc::new(memory.crash(at))).unwrap();
            assert!(unknown || names(&again) == known, "operation {at}: {known:?}, then {:?}", names(&again));
            assert!(again.members().iter().all(|member| member.database.is_ok()), "operation {at}");
            if !reached {
                assert!(at > 30, "only {at} operations");
                return;
            }
        }
    }

    #[test]
    fn what_is_missing_is_not_made_anew() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let cluster = open(fs.clone()).unwrap();
        let oid = cluster.create("shop").unwrap().oid;
        cluster.create("blog").unwrap();
        cluster.close().unwrap();
        drop(cluster);
        let dir = Path::new(DIR);
        // A folder: its database is damaged, the others go on, and it can be dropped.
        fs.remove_dir_all(&folder(dir, oid)).unwrap();
        let cluster = open(fs.clone()).unwrap();
        let state = |cluster: &Cluster, name: &str| {
            let member = cluster.members().into_iter().find(|member| member.name == name);
            member.unwrap().database.err().map(|error| error.state())
        };
        assert_eq!(state(&cluster, "shop"), Some(SqlState::DATA_CORRUPTED));
        assert_eq!(state(&cluster, "blog"), None);
        cluster.remove("shop").unwrap();
        cluster.close().unwrap();
        drop(cluster);
        // The list: nothing is removed.
        fs.rename(&dir.join(LIST), &dir.join("lost")).unwrap();
        assert_eq!(open(fs.clone()).err().map(|error| error.state()), Some(SqlState::DATA_CORRUPTED));
        assert_eq!(listed(&*fs, dir).err().map(|error| error.state()), Some(SqlState::DATA_CORRUPTED));
        fs.rename(&dir.join("lost"), &dir.join(LIST)).unwrap();
        let cluster = open(fs.clone()).unwrap();
        assert_eq!(names(&cluster), ["postgres", "blog"]);
        // Somebody's folder is nobody's database.
        fs.create_dir_all(&dir.join(FOLDER).join("notes")).unwrap();
        drop(cluster);
        drop(open(fs.clone()).unwrap());
        assert!(fs.list(&dir.join(FOLDER)).unwrap().iter().any(|name| name.as_os_str() == "notes"));
    }

    #[test]
    fn a_full_disk_does_not_keep_a_database() {
        let memory = MemoryFs::new();
        let (fs, faults) = FaultyFs::new(memory.clone());
        let cluster = open(fs).unwrap();
        cluster.create("shop").unwrap();
        let full = What::FailFromHere(std::io::ErrorKind::StorageFull);
        faults.arm(Fault { at: 1, on: Op::CREATE.or(Op::ALLOCATE), what: full });
        assert_eq!(cluster.create("blog").err().map(|error| error.state()), Some(SqlState::DISK_FULL));
        cluster.remove("shop").unwrap();
        assert_eq!(names(&cluster), ["postgres"]);
    }

    #[test]
    fn each_flipped_byte_of_the_list_is_noticed() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let list = List { last_oid: 20_000, oids: [("shop".to_owned(), 20_000)].into() };
        fs.create_dir_all(Path::new(DIR)).unwrap();
        list.write(&*fs, Path::new(DIR)).unwrap();
        assert_eq!(List::read(&*fs, Path::new(DIR)).unwrap().oids, list.oids);
        let file = fs.open(&Path::new(DIR).join(LIST), OpenMode::ReadWrite).unwrap();
        let good = list.encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            file.write_all_at(&bad, 0).unwrap();
            assert!(List::read(&*fs, Path::new(DIR)).is_err(), "byte {at} flipped unnoticed");
        }
        file.write_all_at(&good, 0).unwrap();
        for length in 0..good.len() {
            file.truncate(length as u64).unwrap();
            assert!(List::read(&*fs, Path::new(DIR)).is_err(), "cut to {length} bytes unnoticed");
        }
    }
}
