//! `hither serve`: open the databases, listen, and on SIGTERM or SIGINT finish, checkpoint and leave.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::allocator;
use crate::config::{Config, Given};
use crate::database::{self, ArchiveOptions, AutovacuumOptions, Cluster, ScrubOptions};
use crate::error::{Error, Result, SqlState};
use crate::fs::Fs;
use crate::fs::disk::DiskFs;
use crate::memory::Budget;
use crate::server::{self, Server};
use crate::sql::Databases;
use crate::sql::settings::{Settings, id};

#[derive(clap::Args)]
pub struct Args {
    /// Configuration file (TOML; the names of these options with underscores)
    #[arg(long, value_name = "FILE", env = "HITHER_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
}

impl Args {
    fn decide(self) -> Result<Config> {
        let file = self.config.as_deref().map(Given::from_file).transpose()?.unwrap_or_default();
        self.given.or(file).decide()
    }
}

pub fn run(args: Args) -> Result<()> {
    let config = args.decide()?;
    super::start_log(&config.log_level)?;
    let house = House::open(&config)?;
    println!(
        "ready: postgres://{}@{}/{}",
        server::SUPERUSER,
        house.server.address(),
        database::MAIN_DATABASE
    );
    // Whoever waits for this line behind a pipe gets it now.
    let _ = std::io::stdout().flush();
    house.serve_until_signal()
}

/// An open data directory with a server on it.
pub struct House {
    runtime: tokio::runtime::Runtime,
    databases: Arc<Databases>,
    pub server: Server,
    grace: Duration,
}

/// In kB per second: at less, a checkpoint of what memtables hold by default takes longer than the log takes to grow full.
const BACKGROUND_WRITE_RATE_MIN: i64 = 1024;

impl House {
    pub fn open(config: &Config) -> Result<House> {
        let start = Instant::now();
        let mut settings = config.settings();
        // A mistake in the file is told here and not to every client that connects.
        let mut trial = Settings::default();
        settings.iter().try_for_each(|(name, value)| trial.set_startup(name, value))?;
        let fs: Arc<dyn Fs> = Arc::new(DiskFs);
        let autovacuum = AutovacuumOptions {
            enabled: trial.bool(id::AUTOVACUUM),
            threshold: trial.int(id::AUTOVACUUM_VACUUM_THRESHOLD) as u64,
            scale_factor: trial.real(id::AUTOVACUUM_VACUUM_SCALE_FACTOR),
            naptime: Duration::from_secs(trial.int(id::AUTOVACUUM_NAPTIME) as u64),
        };
        let budget = match trial.int(id::MEMORY_MAX) {
            0 => Budget::of_machine(),
            kilobytes => Budget::of(kilobytes as u64 * 1024)?,
        };
        if budget.bytes() < allocator::ROOMY {
            allocator::be_small();
        }
        // First, so that whatever the operator says of it counts.
        let helpers = std::thread::available_parallelism().map_or(1, usize::from) - 1;
        settings.insert(0, ("max_parallel_maintenance_workers".to_owned(), helpers.min(1024).to_string()));
        let build_kilobytes = (budget.graphs() / 1024).clamp(1024, i32::MAX as u64);
        settings.insert(0, ("maintenance_work_mem".to_owned(), format!("{build_kilobytes}kB")));
        settings.push(("hither.memory_max".to_owned(), format!("{}kB", budget.bytes() / 1024)));
        let checkpoint_log_bytes = (trial.int(id::MAX_WAL_SIZE) as u64) << 20;
        let mut within = database::Options::within(budget);
        let rate = trial.int(id::BACKGROUND_WRITE_RATE);
        if (1..BACKGROUND_WRITE_RATE_MIN).contains(&rate) {
            let message = format!(
                "{rate} kB is outside the valid range for parameter \"hither.background_write_rate\": -1, 0, or \
                 {BACKGROUND_WRITE_RATE_MIN} kB and more"
            );
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        // Below zero it is as the storage has it.
        if let Ok(kilobytes) = u64::try_from(rate) {
            within.storage.background_bytes_per_second = kilobytes * 1024;
        }
        let options = database::Options {
            autovacuum,
            archive: archive(&trial)?,
            checkpoint_log_bytes,
            carry: database::CarryOptions::within(checkpoint_log_bytes),
            checkpoint_interval: Duration::from_secs(trial.int(id::CHECKPOINT_TIMEOUT) as u64),
            scrub: ScrubOptions {
                enabled: trial.bool(id::SCRUB),
                interval: Duration::from_secs(trial.int(id::SCRUB_INTERVAL) as u64),
                bytes_per_second_max: trial.int(id::SCRUB_RATE) as u64 * 1024,
            },
            ..within
        };
        let cluster = Cluster::open(fs, &config.data_dir, options)?;
        let databases = Databases::new(cluster, settings, budget)?;
        let runtime = server::runtime()?;
        let options = server::Options {
            listen: config.listen.clone(),
            connections_max: config.connections_max,
            message_bytes_max: config.message_bytes_max,
        };
        let server = Server::start(databases.clone(), options, runtime.handle().clone())?;
        log::info!(
            "hither {} on {}, data in {}, opened in {} ms",
            env!("CARGO_PKG_VERSION"),
            server.address(),
            config.data_dir.display(),
            start.elapsed().as_millis()
        );
        Ok(House { runtime, databases, server, grace: Duration::from_secs(config.shutdown_seconds_max) })
    }

    /// Where work beside the server can run.
    pub fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    /// A second signal leaves at once: the log has everything that was acknowledged.
    pub fn serve_until_signal(self) -> Result<()> {
        let mut signals = self.runtime.block_on(async { Signals::new() })?;
        let name = self.runtime.block_on(signals.next());
        log::info!("{name}: shutting down");
        self.runtime.spawn(async move {
            let name = signals.next().await;
            log::warn!("{name} again: leaving without a checkpoint");
            std::process::exit(1);
        });
        self.close()
    }

    /// Finishes statements, checkpoints, and lets go of the directory.
    pub fn close(self) -> Result<()> {
        let start = Instant::now();
        self.runtime.block_on(self.server.stop(self.grace));
        self.databases.close()?;
        // A statement that does not hear its cancel request shall not hold up the end.
        self.runtime.shutdown_background();
        log::info!("closed in {} ms", start.elapsed().as_millis());
        Ok(())
    }
}

/// A relative folder is one of the data directory's neighbours on no two days.
fn archive(settings: &Settings) -> Result<ArchiveOptions> {
    let dir = settings.text(id::ARCHIVE_DIR);
    if !dir.is_empty() && !Path::new(&*dir).is_absolute() {
        let message = format!("invalid value for parameter \"archive_dir\": \"{dir}\"");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).hint("Name an absolute path."));
    }
    Ok(ArchiveOptions {
        dir: (!dir.is_empty()).then(|| PathBuf::from(&*dir)),
        timeout: Duration::from_secs(settings.int(id::ARCHIVE_TIMEOUT) as u64),
    })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let listen = |kind| signal(kind).map_err(|error| Error::io("listen for", "signals", &error));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
