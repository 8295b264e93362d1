//! The `imgbuild` binary: hands the process's arguments to the library and exits with its status.

fn main() -> std::process::ExitCode {
    imgbuild::cli::main()
}

// Walks and layers allocate from many threads at once. glibc's allocator grows an arena for each in small steps, which
// took half of the time of an unchanged build.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
