//! BACKUP and SCRUB: Hither's own statements, which look after files. VACUUM and CHECKPOINT are in `variables.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::clock::Timestamp;
use crate::database::{BackupOptions, Database};
use crate::error::{Error, Result, SqlState};
use crate::sql::plans::text_rows;
use crate::sql::response::Response;
use crate::sql::session::Session;
use crate::sql::statement::Ast;
use crate::types::{Value, text};

/// What BACKUP tells.
pub const BACKUP_COLUMNS: [&str; 10] = [
    "last_commit",
    "last_commit_time",
    "log_end",
    "files",
    "files_copied",
    "bytes",
    "bytes_copied",
    "log_pieces",
    "log_pieces_copied",
    "backups_removed",
];
/// What SCRUB tells.
pub const SCRUB_COLUMNS: [&str; 3] = ["files", "bytes", "findings"];

impl Session {
    /// `BACKUP TO 'folder' [KEEP n] [RATE n]`: the server writes, so the folder is one of the server's machine.
    pub(crate) async fn backup(&mut self, to: &str, options: BackupOptions) -> Result<Response> {
        self.refuse_in_block("BACKUP")?;
        let to = absolute(to)?;
        let taken = self.on_files(move |database, cancel| database.backup_as(&to, options, cancel)).await?;
        let numbers = [
            taken.log_end.0,
            taken.copied.files,
            taken.copied.files_new,
            taken.copied.bytes,
            taken.copied.bytes_new,
            taken.pieces,
            taken.pieces_new,
            taken.pruned.backups,
        ];
        let mut row = vec![Some(taken.last.0.to_string()), taken.time.map(time_text)];
        row.extend(numbers.iter().map(|number| Some(number.to_string())));
        let ast = Ast::Backup(String::new(), options);
        let columns = self.utility_columns(&ast).unwrap_or_else(|| Arc::from([]));
        text_rows(columns, vec![row], "BACKUP")
    }

    /// `SCRUB`: reads every file now, as fast as hither.scrub_rate lets it.
    pub(crate) async fn scrub(&mut self) -> Result<Response> {
        self.refuse_in_block("SCRUB")?;
        let done = self.on_files(|database, cancel| database.scrub(cancel)).await?;
        let numbers = [done.files, done.bytes, done.findings.len() as u64];
        let row = numbers.iter().map(|number| Some(number.to_string())).collect();
        let columns = self.utility_columns(&Ast::Scrub).unwrap_or_else(|| Arc::from([]));
        text_rows(columns, vec![row], "SCRUB")
    }

    /// Runs work on files beside the threads that serve.
    async fn on_files<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Database, &AtomicBool) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let database = self.shared.engine.database.clone();
        let cancel = Arc::<AtomicBool>::clone(self.cancel.raised());
        let task = tokio::task::spawn_blocking(move || work(&database, &cancel));
        task.await.map_err(|error| Error::internal(format!("work on files failed: {error}")))?
    }
}

/// The server's working folder is nobody's business. Links are followed as far as the path exists, so that a folder inside
/// the data directory is recognised.
fn absolute(path: &str) -> Result<PathBuf> {
    let given = Path::new(path);
    if !given.is_absolute() {
        let message = format!("relative path not allowed for BACKUP: \"{path}\"");
        return Err(Error::new(SqlState::INVALID_NAME, message));
    }
    let mut rest = Vec::new();
    for folder in given.ancestors() {
        if let Ok(real) = folder.canonicalize() {
            return Ok(rest.into_iter().rev().fold(real, |path: PathBuf, name| path.join(name)));
        }
        rest.extend(folder.file_name());
    }
    Ok(given.to_path_buf())
}

/// As timestamptz is printed.
pub fn time_text(time: Timestamp) -> String {
    text::to_string(&Value::Timestamptz(time.0))
}
