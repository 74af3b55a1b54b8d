//! Backups of a running database, its archived log, and the way back to any commit.
//!
//! ```text
//!   data directory                      folder of backups
//!   sorted tables     immutable    ──>  files/tables/<storage>/<n>.sst           copied once
//!   graph generations immutable    ──>  files/indexes/<storage>/<name>.<sum>     copied once
//!   vector segments   written to   ──>  files/tables/<storage>/<name>.<sum>      read when their stamps are others,
//!                                                                                copied when their bytes are
//!   manifest                       ──>  files/manifests/<position>.<name>.<sum>
//!   log               grows        ──>  log/<first>-<end>.piece                  a segment each
//!                                       bases/<position>.base                    what one backup consists of, written last
//! ```
//!
//! **What a base is.** The files of one checkpoint, and the log from where that is replayed. Slots that live at the
//! checkpoint are not given to other rows while a snapshot is held, so a vector segment that is copied while others write
//! to it has the right bytes in every slot that the base or the log behind it can mean.
//!
//! **The way back.** `restore` takes the newest base that is not after the wanted moment and puts the log behind it, cut
//! at the first commit that is after it. Opening the directory replays it, as after a crash: there is no second way of
//! making a state out of a log. The new directory gets a cluster id of its own, since its log goes on differently.
//!
//! - `repository.rs`: the folder of backups and its files, written so that a crash leaves no half of one.
//! - `take.rs`: a backup of a running database.
//! - `prune.rs`: older backups go.
//! - `archive.rs`: whole segments of the log, as they come.
//! - `restore.rs`: a data directory from a base and the log.
//! - `check.rs`: whether all of it is whole, and what can be restored.

pub mod archive;
mod check;
mod prune;
pub mod repository;
pub mod restore;
mod take;
#[cfg(test)]
mod tests;

pub use archive::{ArchiveOptions, Archived};
pub use check::{
    CheckedArchive, CheckedBackup, CheckedBackups, Folder, Moment, archives_in, check_archive, check_backups,
    folder_of,
};
pub use prune::Pruned;
pub use restore::{Restored, Target, restore};
pub use take::{BackupOptions, Taken};
