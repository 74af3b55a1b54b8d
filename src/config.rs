//! What an operator sets before the server starts: one list, three ways to say it.
//!
//! The command line wins over `HITHER_*` environment variables, those over the configuration file (TOML, the same
//! names with underscores), that over the defaults. What can change while the server runs is a setting of SQL
//! (SHOW, SET), not of this list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, SqlState};

/// The list. Absent values come from the next source.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Given {
    /// Folder of the database; made when it does not exist [default: ./hither-data]
    #[arg(long, value_name = "DIR", env = "HITHER_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:5432]
    #[arg(long, value_name = "HOST:PORT", env = "HITHER_LISTEN")]
    pub listen: Option<String>,
    /// error, warn, info, debug or trace, also by module ("info,hither::sql=debug") [default: info]
    #[arg(long, value_name = "LEVEL", env = "HITHER_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// Most connections at a time; more are refused with 53300 [default: 100]
    #[arg(long, value_name = "N", env = "HITHER_CONNECTIONS_MAX")]
    pub connections_max: Option<usize>,
    /// Longest message of a client in bytes, COPY data excepted [default: 268435456]
    #[arg(long, value_name = "BYTES", env = "HITHER_MESSAGE_BYTES_MAX")]
    pub message_bytes_max: Option<usize>,
    /// Memory to hold, such as 512MB or 8GB; mapped vectors come on top [default: half of the machine's]
    #[arg(long, value_name = "SIZE", env = "HITHER_MEMORY")]
    pub memory: Option<String>,
    /// How long a shutdown waits for running statements before it cancels them [default: 30]
    #[arg(long, value_name = "SECONDS", env = "HITHER_SHUTDOWN_SECONDS_MAX")]
    pub shutdown_seconds_max: Option<u64>,
    /// What each session starts with: the file's table `[settings]`, as for SET.
    #[arg(skip)]
    pub settings: BTreeMap<String, toml::Value>,
}

/// The list with every value decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub data_dir: PathBuf,
    pub listen: String,
    pub log_level: String,
    pub connections_max: usize,
    pub message_bytes_max: usize,
    pub memory: Option<String>,
    pub shutdown_seconds_max: u64,
    pub session: Vec<(String, String)>,
}

/// Below this a client cannot even send a vector of the largest dimension as text.
const MESSAGE_BYTES_MIN: usize = 1 << 20;
/// Lengths on the wire are below 1 GiB.
const MESSAGE_BYTES_CEILING: usize = 1 << 30;
/// One thread-free task each, but every one may hold buffers and a transaction.
const CONNECTIONS_CEILING: usize = 100_000;

impl Given {
    /// Reads a configuration file.
    pub fn from_file(path: &Path) -> Result<Given> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::io("read configuration file", path.display(), &error))?;
        toml::from_str(&text).map_err(|error| {
            invalid(format!("configuration file \"{}\": {}", path.display(), error.to_string().trim_end()))
        })
    }

    /// Takes from `other` what is absent here.
    pub fn or(self, other: Given) -> Given {
        Given {
            data_dir: self.data_dir.or(other.data_dir),
            listen: self.listen.or(other.listen),
            log_level: self.log_level.or(other.log_level),
            connections_max: self.connections_max.or(other.connections_max),
            message_bytes_max: self.message_bytes_max.or(other.message_bytes_max),
            memory: self.memory.or(other.memory),
            shutdown_seconds_max: self.shutdown_seconds_max.or(other.shutdown_seconds_max),
            settings: if self.settings.is_empty() { other.settings } else { self.settings },
        }
    }

    /// Fills in the defaults and checks the ranges.
    pub fn decide(self) -> Result<Config> {
        let config = Config {
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from("./hither-data")),
            listen: self.listen.unwrap_or_else(|| "127.0.0.1:5432".to_owned()),
            log_level: self.log_level.unwrap_or_else(|| "info".to_owned()),
            connections_max: self.connections_max.unwrap_or(100),
            message_bytes_max: self.message_bytes_max.unwrap_or(256 << 20),
            memory: self.memory,
            shutdown_seconds_max: self.shutdown_seconds_max.unwrap_or(30),
            session: self.settings.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        };
        check("connections_max", config.connections_max, 1, CONNECTIONS_CEILING)?;
        check("message_bytes_max", config.message_bytes_max, MESSAGE_BYTES_MIN, MESSAGE_BYTES_CEILING)?;
        Ok(config)
    }
}

impl Config {
    /// What each session starts with; the server's own limits show as PostgreSQL names them.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut settings = vec![("max_connections".to_owned(), self.connections_max.to_string())];
        settings.extend(self.memory.clone().map(|size| ("hither.memory_max".to_owned(), size)));
        settings.extend(self.session.iter().cloned());
        settings
    }
}

/// As SET would spell it.
fn plain(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    }
}

fn check(name: &str, value: usize, min: usize, max: usize) -> Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(invalid(format!("{value} is outside the valid range for parameter \"{name}\" ({min} .. {max})")))
}

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_sources_win() {
        let line = Given { listen: Some("[::1]:1".to_owned()), ..Given::default() };
        let file: Given =
            toml::from_str("listen = \"[::1]:2\"\nconnections_max = 7").expect("a configuration file");
        let config = line.or(file).decide().expect("a valid configuration");
        assert_eq!((config.listen.as_str(), config.connections_max), ("[::1]:1", 7));
        assert_eq!(config.log_level, "info");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(toml::from_str::<Given>("lisen = \"x\"").is_err());
        let error =
            Given { connections_max: Some(0), ..Given::default() }.decide().expect_err("no connections");
        assert!(error.message().contains("connections_max"), "{error}");
        let error = Given::from_file(Path::new("/nonexistent/hither.toml")).expect_err("no file");
        assert_eq!(error.state(), SqlState::UNDEFINED_FILE);
    }
}
