use std::io::{self, Write};
use std::sync::Arc;

use privacy::Veil;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// A writer of whole lines behind a veil, if there is one: addresses are made unrecognisable.
pub(super) struct Veiled<W> {
    veil: Option<Arc<Veil>>,
    inner: W,
}

impl<W> Veiled<W> {
    pub(super) fn new(veil: &Option<Arc<Veil>>, inner: W) -> Self {
        Self {
            veil: veil.clone(),
            inner,
        }
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Veiled<W> {
    type Writer = Veiled<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Veiled::new(&self.veil, self.inner.make_writer())
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        Veiled::new(&self.veil, self.inner.make_writer_for(metadata))
    }
}

/// Each write is a whole line.
impl<W: Write> Write for Veiled<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Some(veil) = &self.veil else {
            return self.inner.write(line);
        };
        let veiled = veil.line(&String::from_utf8_lossy(line)).into_owned();
        self.inner.write_all(veiled.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
