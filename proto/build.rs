//! Compiles the `.proto` files without `protoc`: protox parses, tonic-prost-build generates.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "nepho/v1/measure.proto",
        "nepho/v1/journal.proto",
        "nepho/v1/session.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure()
        // Ours leaves its columns as bytes.
        .extern_path(".nepho.v1.Histogram", "crate::columns::Histogram")
        .compile_fds(descriptors)?;
    Ok(())
}
