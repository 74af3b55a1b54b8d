//! The `hither` binary: the command line is all there is to it.

// Rows, parameters and Arrow buffers are many small allocations, and large ones are made on one thread and freed on another.
#[cfg(feature = "server")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "server")]
fn main() -> std::process::ExitCode {
    hither::cli::main()
}

/// The core is a library; without the feature `server` there is nothing to run.
#[cfg(not(feature = "server"))]
fn main() {}
