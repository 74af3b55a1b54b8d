//! Whose directory this is: LOCK keeps a second process out, CONTROL says which format the files have.
//!
//! ```text
//!  CONTROL (33 bytes)
//!  | "HITHERDB" 8 | format version 4 | cluster id 16 | clean 1 | crc32c of all before 4 |
//! ```
//!
//! CONTROL is replaced as a whole: written beside, synced, renamed over the old one, folder synced. So a reader sees
//! one version or the other, and a damaged CONTROL is damage and not a crash.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::{Reader, put_u32};
use crate::error::{Error, Result, SqlState};
use crate::fs::{self, Fs, Lines, OpenMode};

/// The format that this program writes. `docs/formats.md` has the history.
pub const FORMAT_VERSION: u32 = 4;

const MAGIC: &[u8; 8] = b"HITHERDB";
const LENGTH: usize = 8 + 4 + 16 + 1 + 4;

/// A locked directory of a known format.
pub struct Control {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    cluster: u128,
    /// Whether the last process that had the directory closed it in order.
    pub was_clean: bool,
    /// Whether this open made the directory.
    pub is_new: bool,
    _lock: Box<dyn Any + Send + Sync>,
}

impl Control {
    /// Locks the directory and reads CONTROL, or makes both in an empty or missing directory, where `new_cluster`
    /// becomes its id. Marks it as open: it is clean again only after [`Control::mark_clean`].
    ///
    /// Errors: 55006 another process has it; 55000 it holds other files, or a newer format; XX001 CONTROL is damaged.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path, new_cluster: u128) -> Result<Control> {
        fs.create_dir_all(dir)?;
        let is_new = !fs.exists(&dir.join("CONTROL"));
        if is_new {
            refuse_foreign(&*fs, dir)?;
        }
        let lock = fs.lock(&dir.join("LOCK"))?;
        // Another process may have made it, and ended, since.
        let is_new = is_new && !fs.exists(&dir.join("CONTROL"));
        let (cluster, was_clean) =
            if is_new { (new_cluster, true) } else { read(&*fs, &dir.join("CONTROL"))? };
        let control = Control { fs, dir: dir.to_path_buf(), cluster, was_clean, is_new, _lock: lock };
        control.write(false)?;
        Ok(control)
    }

    /// Tells one database from another; random, made with the directory.
    pub fn cluster(&self) -> u128 {
        self.cluster
    }

    /// The last act of an orderly close.
    pub fn mark_clean(&self) -> Result<()> {
        self.write(true)
    }

    fn write(&self, clean: bool) -> Result<()> {
        let (path, beside) = (self.dir.join("CONTROL"), self.dir.join("CONTROL.new"));
        if self.fs.exists(&beside) {
            self.fs.remove_file(&beside)?;
        }
        let file = self.fs.open(&beside, OpenMode::Create)?;
        file.write_all_at(&encode(self.cluster, clean), 0)?;
        file.sync_data()?;
        self.fs.rename(&beside, &path)?;
        self.fs.sync_dir(&self.dir)
    }
}

/// Writes CONTROL into a directory that has none: the last act of making it.
pub fn install(fs: &dyn Fs, dir: &Path, cluster: u128) -> Result<()> {
    let beside = dir.join("CONTROL.new");
    let file = fs.open(&beside, OpenMode::Create)?;
    file.write_all_at(&encode(cluster, false), 0)?;
    file.sync_data()?;
    fs.rename(&beside, &dir.join("CONTROL"))?;
    fs.sync_dir(dir)
}

/// An existing directory without CONTROL may hold nothing but what a crash during its making leaves.
fn refuse_foreign(fs: &dyn Fs, dir: &Path) -> Result<()> {
    let foreign = fs
        .list(dir)?
        .into_iter()
        .find(|name| !["LOCK", "CONTROL.new", "lost+found"].iter().any(|own| name.as_os_str() == *own));
    let Some(foreign) = foreign else { return Ok(()) };
    Err(Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("\"{}\" is not a Hither data directory", dir.display()),
    )
    .detail(format!("It has no CONTROL file, but it contains \"{}\".", foreign.display()))
    .hint("Name an empty or a new directory."))
}

fn encode(cluster: u128, clean: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(MAGIC);
    put_u32(&mut bytes, FORMAT_VERSION);
    bytes.extend_from_slice(&cluster.to_le_bytes());
    bytes.push(u8::from(clean));
    let checksum = crc32c::crc32c(&bytes);
    put_u32(&mut bytes, checksum);
    bytes
}

/// Whether a file is CONTROL, and then what it says.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    if !fs::begins_with(fs, path, MAGIC)? {
        return Ok(false);
    }
    let (cluster, clean) = read(fs, path)?;
    let state = if clean { "closed in order" } else { "in use, or not closed in order" };
    out(format!("data directory of database {cluster:032x}, {state}"))?;
    Ok(true)
}

/// (cluster id, clean). The version is looked at before the checksum: a newer format may be laid out otherwise.
fn read(fs: &dyn Fs, path: &Path) -> Result<(u128, bool)> {
    let name = path.display().to_string();
    let file = fs.open(path, OpenMode::Read)?;
    // A newer CONTROL may be longer; what this format needs is at the front.
    let mut bytes = vec![0; usize::try_from(file.len()?).map_or(LENGTH, |len| len.min(LENGTH))];
    file.read_exact_at(&mut bytes, 0)?;
    let mut reader = Reader::new(&bytes).named(&name, 0);
    let magic = reader.take(8)?;
    if magic != MAGIC {
        return Err(reader.corrupt("the bytes HITHERDB", format!("{magic:?}")));
    }
    let version = reader.u32()?;
    if version > FORMAT_VERSION {
        return Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("{name}: the data directory has format {version}, and this program knows formats up to {FORMAT_VERSION}"),
        )
        .hint("Open it with the version of Hither that wrote it, or a newer one."));
    }
    let cluster = u128::from_le_bytes(reader.take(16)?.try_into().expect("sixteen bytes were taken"));
    let clean = reader.u8()?;
    let expected = crc32c::crc32c(&bytes[..reader.position()]);
    let found = reader.u32()?;
    if found != expected {
        return Err(reader.corrupt(format!("checksum {expected:08x}"), format!("{found:08x}")));
    }
    if version == 0 || clean > 1 {
        return Err(reader.corrupt("format 1 and a flag of 0 or 1", format!("{version} and {clean}")));
    }
    Ok((cluster, clean == 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::memory::MemoryFs;

    fn open(fs: &Arc<dyn Fs>) -> Result<Control> {
        Control::open(fs.clone(), Path::new("/db"), 7)
    }

    fn fresh() -> Arc<dyn Fs> {
        Arc::new(MemoryFs::new())
    }

    #[test]
    fn a_new_directory_is_made_and_found_again() {
        let fs = fresh();
        let first = open(&fs).unwrap();
        assert!(first.is_new && first.was_clean);
        assert_eq!(open(&fs).err().map(|e| e.state()), Some(SqlState::OBJECT_IN_USE));
        drop(first);
        let second = open(&fs).unwrap();
        assert!(!second.is_new && !second.was_clean, "the first was dropped without being closed");
        second.mark_clean().unwrap();
        drop(second);
        let third = open(&fs).unwrap();
        assert!(third.was_clean);
        assert_eq!(third.cluster(), 7);
    }

    #[test]
    fn a_foreign_directory_is_refused() {
        let fs = fresh();
        fs.create_dir_all(Path::new("/db")).unwrap();
        fs.open(Path::new("/db/thesis.tex"), OpenMode::Create).unwrap();
        let error = open(&fs).err().expect("not ours");
        assert_eq!(error.state(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert!(error.fields().detail.as_deref().is_some_and(|d| d.contains("thesis.tex")));
    }

    #[test]
    fn a_newer_format_is_refused_by_name_and_each_flipped_byte_is_noticed() {
        let fs = fresh();
        drop(open(&fs).unwrap());
        let file = fs.open(Path::new("/db/CONTROL"), OpenMode::ReadWrite).unwrap();
        let good = encode(7, false);
        for at in 0..LENGTH {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            file.write_all_at(&bad, 0).unwrap();
            let error = open(&fs).err().unwrap_or_else(|| panic!("byte {at} flipped unnoticed"));
            let newer = (8..12).contains(&at);
            assert_eq!(error.message().contains("knows formats up to"), newer, "byte {at}: {error}");
        }
        file.write_all_at(&good, 0).unwrap();
        file.truncate(10).unwrap();
        assert_eq!(open(&fs).err().map(|e| e.state()), Some(SqlState::DATA_CORRUPTED));
    }
}
