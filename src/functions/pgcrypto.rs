//! Functions of the extension pgcrypto: digests of texts and bytes, and random bytes.
//!
//! <https://www.postgresql.org/docs/17/pgcrypto.html>. Passwords (crypt), encryption and OpenPGP are not there yet;
//! the calls that are made most say so.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::error::{Error, Result, SqlState};
use crate::functions::bytes::{bytes, integer, text};
use crate::functions::value::{Call, Definition, functions as build, strict};
use crate::types::Value;

/// The most bytes that gen_random_bytes answers with.
const RANDOM_MAX: i64 = 1024;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(definitions())
}

fn definitions() -> Vec<Definition> {
    let mut definitions = vec![
        strict("digest(text, text) bytea", |v| digest(text(&v[0]).as_bytes(), text(&v[1]))),
        strict("digest(bytea, text) bytea", |v| digest(bytes(&v[0]), text(&v[1]))),
        strict("hmac(text, text, text) bytea", |v| {
            authenticate(text(&v[0]).as_bytes(), text(&v[1]).as_bytes(), text(&v[2]))
        }),
        strict("hmac(bytea, bytea, text) bytea", |v| authenticate(bytes(&v[0]), bytes(&v[1]), text(&v[2]))),
        strict("gen_random_bytes(int4) bytea", |v| {
            let length = integer(&v[0]);
            if !(1..=RANDOM_MAX).contains(&length) {
                // external_routine_invocation_exception
                return Err(Error::new(SqlState("39000"), "Length not in range"));
            }
            random_bytes(length as usize).map(Value::Bytea)
        })
        .volatile(),
    ];
    definitions.extend(UNSUPPORTED.map(|(signature, refuse)| strict(signature, refuse)));
    definitions
}

/// What of the extension answers 0A000.
const UNSUPPORTED: [(&str, Call); 14] = [
    ("crypt(text, text) text", |_| Err(Error::unsupported("crypt()"))),
    ("gen_salt(text) text", |_| Err(Error::unsupported("gen_salt()"))),
    ("gen_salt(text, int4) text", |_| Err(Error::unsupported("gen_salt()"))),
    ("encrypt(bytea, bytea, text) bytea", |_| Err(Error::unsupported("encrypt()"))),
    ("decrypt(bytea, bytea, text) bytea", |_| Err(Error::unsupported("decrypt()"))),
    ("encrypt_iv(bytea, bytea, bytea, text) bytea", |_| Err(Error::unsupported("encrypt_iv()"))),
    ("decrypt_iv(bytea, bytea, bytea, text) bytea", |_| Err(Error::unsupported("decrypt_iv()"))),
    ("pgp_sym_encrypt(text, text) bytea", |_| Err(Error::unsupported("pgp_sym_encrypt()"))),
    ("pgp_sym_encrypt(text, text, text) bytea", |_| Err(Error::unsupported("pgp_sym_encrypt()"))),
    ("pgp_sym_decrypt(bytea, text) text", |_| Err(Error::unsupported("pgp_sym_decrypt()"))),
    ("pgp_sym_decrypt(bytea, text, text) text", |_| Err(Error::unsupported("pgp_sym_decrypt()"))),
    ("pgp_pub_encrypt(text, bytea) bytea", |_| Err(Error::unsupported("pgp_pub_encrypt()"))),
    ("pgp_pub_decrypt(bytea, bytea) text", |_| Err(Error::unsupported("pgp_pub_decrypt()"))),
    ("pgp_key_id(bytea) text", |_| Err(Error::unsupported("pgp_key_id()"))),
];

fn digest(data: &[u8], algorithm: &str) -> Result<Value> {
    Ok(Value::Bytea(match algorithm.to_ascii_lowercase().as_str() {
        "md5" => Md5::digest(data).to_vec(),
        "sha1" => Sha1::digest(data).to_vec(),
        "sha224" => Sha224::digest(data).to_vec(),
        "sha256" => Sha256::digest(data).to_vec(),
        "sha384" => Sha384::digest(data).to_vec(),
        "sha512" => Sha512::digest(data).to_vec(),
        _ => return Err(no_algorithm(algorithm)),
    }))
}

/// RFC 2104.
fn authenticate(data: &[u8], key: &[u8], algorithm: &str) -> Result<Value> {
    fn code<M: Mac + KeyInit>(data: &[u8], key: &[u8]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).expect("keys of any length will do");
        mac.update(data);
        mac.finalize().into_bytes().to_vec()
    }
    Ok(Value::Bytea(match algorithm.to_ascii_lowercase().as_str() {
        "md5" => code::<Hmac<Md5>>(data, key),
        "sha1" => code::<Hmac<Sha1>>(data, key),
        "sha224" => code::<Hmac<Sha224>>(data, key),
        "sha256" => code::<Hmac<Sha256>>(data, key),
        "sha384" => code::<Hmac<Sha384>>(data, key),
        "sha512" => code::<Hmac<Sha512>>(data, key),
        _ => return Err(no_algorithm(algorithm)),
    }))
}

fn no_algorithm(name: &str) -> Error {
    let message = format!("Cannot use \"{name}\": No such hash algorithm");
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// From the system's source.
pub fn random_bytes(length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("no random bytes: {error}")))?;
    Ok(bytes)
}
