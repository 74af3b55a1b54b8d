//! The way in: a listening socket on a thread of its own, and a thread for each connection.
//!
//! ```text
//!   listener thread                          a thread per connection       workers (tokio, one per core)
//!   accept -> startup packet --- session --> Connection::run  <--- rows -- long queries, statement timeouts
//!          \-> CancelRequest raises a flag
//! ```
//!
//! As PostgreSQL has a process for each connection: its thread reads, computes, waits in fdatasync as the leader of a
//! group commit, and disturbs nobody. Tasks on shared workers were tried first: each query then woke a second worker,
//! which looked for work, took over the socket's events and moved the connection to another core, and `SELECT 1` took
//! 59 us instead of 25 in half of the runs on two cores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result, SqlState};
use crate::server::auth;
use crate::server::awake::Awake;
use crate::server::backend::{self, Severity};
use crate::server::cancel::Cancels;
use crate::server::connection::Connection;
use crate::server::startup::{self, Opening, Refusal, Startup};
use crate::server::wire::Wire;
use crate::sql::{Databases, Seat, Session};

/// PostgreSQL's authentication_timeout.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that may be in their startup beyond those that can become sessions: room for cancel requests.
const STARTUPS_EXTRA: usize = 64;
/// Pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Not more than this for a statement that was told to end by a shutdown.
const CANCELLED_GRACE: Duration = Duration::from_secs(5);

/// A session that is to end may take so long for it, and for telling its client.
const KILLED_GRACE: Duration = Duration::from_secs(1);

/// Deep expressions recurse in the planner, a chain of operators as many levels as it has links (`CHAIN_MAX` in
/// `sql/dialect.rs`); it takes more (`STACK_FREE_BYTES` in `planner/environment.rs`) where it must. Pages that are not
/// used cost nothing.
const STACK_BYTES: usize = 64 << 20;

/// What an operator can set.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port`; port 0 picks a free one.
    pub listen: String,
    pub connections_max: usize,
    /// Longest message of a client but COPY data, in bytes.
    pub message_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { listen: "127.0.0.1:5432".to_owned(), connections_max: 100, message_bytes_max: 256 << 20 }
    }
}

/// A server that accepts connections until [`Server::stop`].
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    databases: Arc<Databases>,
    options: Options,
    cancels: Arc<Cancels>,
    /// One permit per session.
    sessions: Arc<Semaphore>,
    startups: Arc<Semaphore>,
    awake: Arc<Awake>,
}

/// What a session holds until its thread ends: a place in its database, and one among all.
struct Place {
    seat: Seat,
    client: SocketAddr,
    _permit: OwnedSemaphorePermit,
}

/// The runtime for what goes on beside the connections.
pub fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread()
        .thread_name("worker")
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| Error::io("start threads for", "the server", &error))
}

impl Server {
    /// Listens at once; a port in use is an error here. Long queries run on `workers`.
    pub fn start(databases: Arc<Databases>, options: Options, workers: Handle) -> Result<Server> {
        let socket = bind(&options.listen)?;
        databases.set_workers(workers);
        let address = socket.local_addr().map_err(|error| Error::io("listen on", &options.listen, &error))?;
        let shared = Arc::new(Shared {
            databases,
            cancels: Arc::default(),
            sessions: Arc::new(Semaphore::new(options.connections_max)),
            awake: Awake::new(),
            startups: Arc::new(Semaphore::new(options.connections_max + STARTUPS_EXTRA)),
            options,
        });
        let front = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io("start a thread for", "connections", &error))?;
        let accepting = shared.clone();
        let thread = std::thread::Builder::new()
            .name("listener".to_owned())
            .spawn(move || front.block_on(accept(accepting, socket)))
            .map_err(|error| Error::io("start a thread for", "connections", &error))?;
        Ok(Server { shared, address, thread: Some(thread) })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses new connections, ends idle ones, and lets running statements finish, for `grace` at most.
    pub async fn stop(mut self, grace: Duration) {
        self.shared.databases.shutdown().cancel();
        if tokio::time::timeout(grace, self.shared.drained()).await.is_err() {
            log::warn!("statements still running after {grace:?} are cancelled");
            self.shared.cancels.cancel_all();
            let _ = tokio::time::timeout(CANCELLED_GRACE, self.shared.drained()).await;
        }
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.databases.shutdown().cancel();
    }
}

fn bind(listen: &str) -> Result<std::net::TcpListener> {
    let socket = std::net::TcpListener::bind(listen).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::new(
            SqlState::OBJECT_IN_USE,
            format!("could not listen on {listen}: the address is already in use"),
        )
        .hint("Is another server running there? Choose another one with --listen HOST:PORT."),
        std::io::ErrorKind::InvalidInput => Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("\"{listen}\" is not an address to listen on: expected HOST:PORT"),
        ),
        _ => Error::new(SqlState::CONNECTION_FAILURE, format!("could not listen on {listen}: {error}")),
    })?;
    socket.set_nonblocking(true).map_err(|error| Error::io("listen on", listen, &error))?;
    Ok(socket)
}

/// The listener's thread: until shutdown.
async fn accept(shared: Arc<Shared>, socket: std::net::TcpListener) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return log::error!("could not accept connections: {error}"),
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shared.databases.shutdown().cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Beyond the bound the client is dropped unheard: it has not said yet who it is.
                if let Ok(permit) = shared.startups.clone().try_acquire_owned() {
                    tokio::spawn(welcome(shared.clone(), stream, peer, permit));
                }
            }
            Err(error) => {
                log::warn!("could not accept a connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// From an accepted socket to a session on a thread of its own, or a refusal.
async fn welcome(
    shared: Arc<Shared>,
    mut stream: TcpStream,
    peer: SocketAddr,
    _startup: OwnedSemaphorePermit,
) {
    // Answers are single writes; waiting to merge them (Nagle) would cost 40 ms. A refusal of the option is harmless.
    let _ = stream.set_nodelay(true);
    let mut input = BytesMut::with_capacity(1024);
    let opening = match tokio::time::timeout(STARTUP_TIMEOUT, startup::read(&mut stream, &mut input)).await {
        Ok(opening) => opening,
        Err(_) => return log::debug!("{peer}: no startup packet in time"),
    };
    match opening {
        Ok(Opening::Cancel { process, secret }) => shared.cancels.cancel(process, &secret),
        Ok(Opening::Session(startup)) => match shared.admit(&startup, peer) {
            Ok(place) => shared.hand_over(stream, input, startup, place),
            Err(error) => refuse(stream, &error).await,
        },
        Err(Refusal::Told(error)) => refuse(stream, &error).await,
        Err(Refusal::Silent(error)) => log::debug!("{peer}: left before the startup packet: {error}"),
    }
}

async fn refuse(mut stream: TcpStream, error: &Error) {
    log::info!("connection refused: {error}");
    let mut out = Vec::new();
    backend::error(&mut out, Severity::Fatal, error);
    // The client may be gone already; there is nobody left to tell.
    let _ = stream.write_all(&out).await;
    let _ = stream.shutdown().await;
}

impl Shared {
    fn admit(&self, startup: &Startup, peer: SocketAddr) -> Result<Place> {
        if self.databases.shutdown().is_cancelled() {
            return Err(Error::new(SqlState::CANNOT_CONNECT_NOW, "the database system is shutting down"));
        }
        auth::check(peer.ip(), &startup.user, &startup.database)?;
        let seat = self.databases.admit(&startup.database)?;
        let permit = self.sessions.clone().try_acquire_owned().map_err(|_| {
            Error::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
                .detail(format!("The server takes {} connections.", self.options.connections_max))
        })?;
        Ok(Place { seat, client: peer, _permit: permit })
    }

    fn hand_over(self: &Arc<Self>, stream: TcpStream, input: BytesMut, startup: Startup, place: Place) {
        let shared = self.clone();
        let thread = std::thread::Builder::new().name("connection".to_owned()).stack_size(STACK_BYTES);
        let started = stream.into_std().and_then(|stream| {
            thread.spawn(move || {
                // All of it: a closure that names one field only would leave the other behind.
                let place = place;
                if let Err(error) = shared.run(stream, input, startup, &place) {
                    log::warn!("connection lost at startup: {error}");
                }
            })
        });
        if let Err(error) = started {
            // The socket went with the attempt: the client sees the connection close.
            log::error!("could not start a thread for a connection: {error}");
        }
    }

    /// A connection's thread: its socket's events, its timers, its statements.
    fn run(
        &self,
        stream: std::net::TcpStream,
        input: BytesMut,
        startup: Startup,
        place: &Place,
    ) -> std::io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            self.serve(TcpStream::from_std(stream)?, input, startup, place).await;
            Ok(())
        })
    }

    async fn serve(&self, stream: TcpStream, input: BytesMut, startup: Startup, place: &Place) {
        let engine = place.seat.engine.clone();
        let mut session = match Session::new(engine, &startup.user, &startup.database, &startup.options) {
            Ok(session) => session,
            Err(error) => return refuse(stream, &error).await,
        };
        let registration = self.cancels.register(session.cancel_flag().clone(), startup.long_secret);
        session.set_process_id(registration.process);
        place.seat.occupy(&session, place.client);
        let mut wire = Wire::new(stream, input, self.options.message_bytes_max);
        if let Some((version, options)) = startup.negotiate {
            backend::negotiate(&mut wire.output, version, options);
        }
        backend::authentication_ok(&mut wire.output);
        backend::backend_key(&mut wire.output, registration.process, registration.secret.clone());
        let killed = async {
            place.seat.killed.cancelled().await;
            // For its last words.
            tokio::time::sleep(KILLED_GRACE).await;
        };
        tokio::select! {
            () = Connection::new(wire, session, place.seat.ended.clone(), self.awake.join()).run() => {}
            // Its client does not read.
            () = killed => log::info!("a session was ended that did not end itself"),
        }
    }

    /// Returns when no session is left.
    async fn drained(&self) {
        // Fails only when the semaphore is closed, which nobody does.
        let _ = self.sessions.acquire_many(self.options.connections_max as u32).await;
    }
}
