// smtp-server (of nodemailer) as an LMTP server: a reply for each recipient, but one for all that differ in case alone.
// Its one argument says, as JSON:
//   modules         where smtp-server is
//   address, port   where it listens
//   record          a file: for each transaction a line of JSON with its recipients
import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const settings = JSON.parse(process.argv[2]);
const { SMTPServer } = createRequire(join(settings.modules, "x"))("smtp-server");

const server = new SMTPServer({
  lmtp: true,
  authOptional: true,
  disabledCommands: ["AUTH", "STARTTLS"],
  onData(content, session, done) {
    content.resume();
    content.on("end", () => {
      const to = session.envelope.rcptTo.map(({ address }) => address);
      appendFileSync(settings.record, JSON.stringify({ to }) + "\n");
      done(null, to.map((address) => `taken for ${address}`));
    });
  },
});
server.listen(settings.port, settings.address);
