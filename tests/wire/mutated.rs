//! Mutated frames in any order: no panic, no hang, no memory that stays.
//!
//! A case is a connection: a startup and up to sixteen messages, each right by itself, some of them spoilt: lengths and
//! counts that lie, bytes changed, cut, doubled, and messages where they do not belong. The client then closes its side,
//! so that a server which waits for the rest of a message must give up too, and reads until the server has closed.
//!
//! `HITHER_SEED` (1) and `HITHER_FIRST` (0) choose the first case, `HITHER_FRAMES` (2000) how many frames are sent.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::House;
use crate::frames::{bind, execute, frame, parse, query, startup, sync};
use crate::random::Random;

/// More frames than this show what memory does; the short form runs beside other tests of this process.
const FRAMES_FOR_MEMORY: usize = 50_000;
/// What a server may hold more after many frames than after the first tenth of them: caches fill, nothing else.
const GROWTH_BYTES_MAX: usize = 64 << 20;

#[test]
fn mutated_frames_are_answered_or_refused() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (seed, first, frames) =
        (number("HITHER_SEED", 1), number("HITHER_FIRST", 0), number("HITHER_FRAMES", 2000) as usize);
    let house = House::with(|options| options.message_bytes_max = 1 << 20);
    let panics = count_panics();
    let start = Instant::now();
    let (mut sent, mut case, mut settled) = (0, first, None);
    prepare(&house);
    while sent < frames {
        let place = format!("HITHER_SEED={seed} HITHER_FIRST={case}");
        sent += run(&house, &mut Random::of(seed, case), &place);
        assert_eq!(panics.load(Ordering::Relaxed), 0, "{place}: a panic");
        case += 1;
        if settled.is_none() && sent >= frames / 10 {
            settled = Some(resident());
        }
    }
    prepare(&house);
    let (before, after) = (settled.expect("a tenth has been sent"), resident());
    println!(
        "{sent} frames on {} connections of seed {seed} in {:.0} s, {} MB resident after a tenth, {} MB at the end",
        case - first,
        start.elapsed().as_secs_f64(),
        before >> 20,
        after >> 20
    );
    if frames >= FRAMES_FOR_MEMORY {
        assert!(after < before + GROWTH_BYTES_MAX, "{} MB more are held", (after - before) >> 20);
    }
    house.run(async |_| {});
}

/// Panics in the threads of connections from now on.
fn count_panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Threads of the test harness are named after their test, and may fail for reasons of their own.
        if !std::thread::current().name().is_some_and(|name| name.contains("::")) {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        print(panic);
    }));
    &PANICS
}

/// A healthy session, which finds the server well and the table as it was.
fn prepare(house: &House) {
    let mut stream = connect(house);
    let table = "DROP TABLE IF EXISTS m; CREATE TABLE m (id int, t text, v vector(2)); INSERT INTO m VALUES (1, 'a', '[1,2]')";
    let terminate = frame(b'X', b"");
    stream
        .write_all(
            &[
                startup(3 << 16, b"user\0postgres\0\0"),
                query("CREATE EXTENSION IF NOT EXISTS vector"),
                query(table),
                query("SELECT 'well' || count(*) FROM m"),
                terminate,
            ]
            .concat(),
        )
        .expect("messages sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    assert!(answer.windows(5).any(|five| five == b"well1"), "the server is well");
}

fn connect(house: &House) -> TcpStream {
    let stream = TcpStream::connect(house.server.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
    stream
}

/// One connection; the number of frames sent on it.
fn run(house: &House, random: &mut Random, place: &str) -> usize {
    let mut stream = connect(house);
    let begin = startup(3 << 16, b"user\0postgres\0\0");
    let mut bytes = if random.below(12) == 0 { spoil(random, begin) } else { begin };
    let count = 1 + random.below(16);
    for _ in 0..count {
        let message = message(random);
        bytes.extend(if random.below(3) == 0 { spoil(random, message) } else { message });
    }
    // The server may close at any byte it does not like.
    let _ = stream.write_all(&bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = [0; 4096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return count + 1,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("{place}: the server neither answers nor closes");
            }
            Err(_) => return count + 1,
        }
    }
}

const STATEMENTS: &[&str] = &[
    "",
    "SELECT 1",
    "SELECT 1; SELECT 'x'; nonsense",
    "SELECT $1::int4 + 1",
    "SELECT $1::text, $2::vector, $3::numeric",
    "SELECT * FROM m WHERE id = $1",
    "SELECT * FROM generate_series(1, 20)",
    "INSERT INTO m VALUES ($1, $2, $3)",
    "COPY m FROM STDIN",
    "COPY m FROM STDIN WITH (FORMAT binary)",
    "COPY m FROM STDIN WITH (FORMAT csv)",
    "COPY m TO STDOUT",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SELECT $1::timestamptz, $2::jsonb, $3::int4[]",
    "SELECT $1::bytea, $2::uuid, $3::interval",
    "SELECT $1::bit(4), $2::halfvec, $3::sparsevec",
    "DECLARE c CURSOR FOR SELECT 1",
];

const NAMES: &[&str] = &["", "a", "b"];

/// A message that is right by itself.
fn message(random: &mut Random) -> Vec<u8> {
    let (sql, name) = (STATEMENTS[random.below(STATEMENTS.len())], NAMES[random.below(NAMES.len())]);
    let portal = [NAMES[random.below(NAMES.len())].as_bytes(), b"\0"].concat();
    match random.below(16) {
        0 | 1 => query(sql),
        2 | 3 => parse(name, sql),
        4 => bind(name),
        5 | 6 => bind_values(random, &portal, name),
        7 => execute(random.below(3) as u32),
        8 => frame(b'E', &[&portal[..], &[0; 4]].concat()),
        9 => frame([b'D', b'C'][random.below(2)], &[&[b"SP"[random.below(2)]], &portal[..]].concat()),
        10 => frame(b'H', b""),
        11 | 12 => sync(),
        13 => {
            let some: &[&[u8]] = &[
                b"1\ta\t[1,2]\n",
                b"1,a,\"[1,2]\"\n",
                b"\\.\n",
                b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0",
                b"\0\x03\0\0\0\x04\0\0\0\x01\0\0\0\x01a\xff\xff\xff\xff",
                b"\xff\xff",
            ];
            frame(b'd', some[random.below(some.len())])
        }
        14 => [frame(b'c', b""), frame(b'f', b"no\0")][random.below(2)].clone(),
        _ => frame([b'p', b'F', b'X', b'z', 0, 255][random.below(6)], &portal),
    }
}

/// Bind with up to three values, in text and binary.
fn bind_values(random: &mut Random, portal: &[u8], statement: &str) -> Vec<u8> {
    let values: &[&[u8]] = &[
        b"1",
        b"\0\0\0\x01",
        b"\0\0\0\0\0\0\0\x01",
        b"[1,2]",
        b"\0\x02\0\0\x3f\x80\0\0\x40\0\0\0",
        b"\0\x02\0\0\0\x01\0\x0a\0\x01\0\x02",
        b"{1,2}",
        b"\0\0\0\x01\0\0\0\0\0\0\0\x17\0\0\0\x01\0\0\0\x01\0\0\0\x04\0\0\0\x07",
        b"\x01{\"a\": 1}",
        b"\0\0\0\x04\xa0",
        b"2020-01-01",
        b"",
    ];
    let count = random.below(4);
    let mut body = [portal, statement.as_bytes(), b"\0"].concat();
    body.extend_from_slice(&1u16.to_be_bytes());
    body.extend_from_slice(&(random.below(2) as u16).to_be_bytes());
    body.extend_from_slice(&(count as u16).to_be_bytes());
    for _ in 0..count {
        match random.below(6) {
            0 => body.extend_from_slice(&(-1i32).to_be_bytes()),
            _ => {
                let value = values[random.below(values.len())];
                body.extend_from_slice(&(value.len() as u32).to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    body.extend_from_slice(&1u16.to_be_bytes());
    body.extend_from_slice(&(random.below(2) as u16).to_be_bytes());
    frame(b'B', &body)
}

/// One to three changes of the bytes of a message.
fn spoil(random: &mut Random, mut message: Vec<u8>) -> Vec<u8> {
    for _ in 0..1 + random.below(3) {
        if message.len() < 5 {
            return message;
        }
        let at = random.below(message.len());
        match random.below(8) {
            0 => message[at] = random.next() as u8,
            1 => message[at] ^= 1 << random.below(8),
            2 => message.truncate(at),
            3 => message.insert(at, random.next() as u8),
            // A count or a length inside, at its edges.
            4 if at + 2 <= message.len() => {
                let edges: [u16; 4] = [0, 0x7fff, 0xffff, 0x8000];
                message[at..at + 2].copy_from_slice(&edges[random.below(4)].to_be_bytes());
            }
            5 if at + 4 <= message.len() => {
                let edges: [u32; 5] = [0, 0x7fff_ffff, 0xffff_ffff, 0x8000_0000, 0xffff_fffe];
                message[at..at + 4].copy_from_slice(&edges[random.below(5)].to_be_bytes());
            }
            // The length of the message, a little off.
            6 => message[4] = message[4].wrapping_add(random.below(9) as u8).wrapping_sub(4),
            _ => {
                // What was in it, under a length that is right again.
                let length = (message.len() - 1) as u32;
                message[1..5].copy_from_slice(&length.to_be_bytes());
            }
        }
    }
    message
}

/// The bytes of this process in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
