//! The wire: PostgreSQL's protocol, bytes to statements and rows to bytes. pgwire is named here and nowhere else.
//!
//! A client meets the files in this order: `listener` and `startup` let it in, `auth` knows it, `connection` talks with
//! it over `wire`, waiting for it as `awake` says, reading `frontend` messages and writing `backend` ones; `decode` reads its parameters, `portal` keeps
//! its open results, `encode` writes its rows, `function_call` answers calls of functions, `copy` moves its bulk, `cancel` stops what it regrets.

mod auth;
mod awake;
mod backend;
mod cancel;
mod connection;
mod copy;
mod decode;
mod encode;
mod frontend;
mod function_call;
mod listener;
mod portal;
mod recode;
mod startup;
mod wire;

pub use auth::SUPERUSER;
pub use listener::{Options, Server, runtime};
