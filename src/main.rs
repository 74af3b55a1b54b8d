//! The `hither` binary: the command line is all there is to it.

#[cfg(feature = "server")]
fn main() -> std::process::ExitCode {
    hither::cli::main()
}

/// The core is a library; without the feature `server` there is nothing to run.
#[cfg(not(feature = "server"))]
fn main() {}
