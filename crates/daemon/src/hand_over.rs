use std::io::{self, Read};

use submission::{Content, Ended, Handover, Next};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Octets of content in one piece.
const PIECE_BYTES: usize = 64 << 10;
/// Octets of replies in one piece.
const REPLY_BYTES: usize = 4096;

/// Hands a message to the session at the other end of `stream`: its head, then `rest`. Must be
/// called within the runtime.
pub(crate) async fn hand_over(
    mut stream: UnixStream,
    mut handover: Handover,
    rest: impl Read + Send + 'static,
) -> Ended {
    let mut rest = Some(rest);
    let mut reply = [0; REPLY_BYTES];
    loop {
        match handover.next_step() {
            Next::Send(octets) => {
                if stream.write_all(&octets).await.is_err() {
                    handover.on_closed();
                }
            }
            Next::Content => {
                let head = handover.submission().head.clone();
                let sent = match rest.take() {
                    Some(rest) => send_content(&mut stream, &head, rest).await,
                    None => Err(io::ErrorKind::UnexpectedEof.into()),
                };
                if let Err(error) = sent {
                    tracing::debug!(%error, "content was not handed over whole");
                    // The session may have said why it reads no more; it says nothing after that.
                    let _closed = stream.shutdown().await;
                }
            }
            Next::Receive => match stream.read(&mut reply).await {
                Ok(octets @ 1..) => handover.receive(&reply[..octets]),
                Ok(0) | Err(_) => handover.on_closed(),
            },
            Next::Ended(ended) => return ended,
        }
    }
}

/// When reading fails the end of the message is never sent, so nothing of it is taken.
async fn send_content<R: Read + Send + 'static>(
    stream: &mut UnixStream,
    head: &[u8],
    mut rest: R,
) -> io::Result<()> {
    let (mut content, mut out) = (Content::new(), Vec::new());
    content.push(head, &mut out);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read;
        // Reading may block.
        (rest, piece, read) = tokio::task::spawn_blocking(move || {
            let read = rest.read(&mut piece);
            (rest, piece, read)
        })
        .await?;
        match read {
            Ok(0) => break,
            Ok(octets) => content.push(&piece[..octets], &mut out),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        stream.write_all(&out).await?;
        out.clear();
    }
    content.finish(&mut out);
    stream.write_all(&out).await
}
