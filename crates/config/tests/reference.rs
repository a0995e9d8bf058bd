//! The reference in `docs/configuration.md` says what the table says.

use std::path::PathBuf;

const BEGIN: &str = "<!-- reference: written by `cargo test -p config --test reference` with \
                     REWRITE=1 -->\n";
const END: &str = "<!-- end of the reference -->";

#[test]
fn the_reference_in_the_documents_is_what_the_table_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(&path).expect("the document");
    let (head, rest) = text.split_once(BEGIN).expect("where it begins");
    let (written, tail) = rest.split_once(END).expect("where it ends");
    let reference = format!("{}\n", config::reference());
    if std::env::var_os("REWRITE").is_some() {
        let text = format!("{head}{BEGIN}{reference}{END}{tail}");
        std::fs::write(&path, text).expect("the document, written");
        return;
    }
    assert!(
        written == reference,
        "the table has changed: run this test once with REWRITE=1"
    );
}
