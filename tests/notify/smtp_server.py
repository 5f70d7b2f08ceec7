# An SMTP server on loopback for tests: smtp_server.py PORT CERTIFICATE KEY MAILBOX
# Without a certificate ("-") it offers no STARTTLS. Each mail is appended to MAILBOX, with its
# envelope. Runs until it is killed.
import ssl, sys, threading
from aiosmtpd.controller import Controller

port, certificate, key, mailbox = sys.argv[1:]


class Keep:
    async def handle_DATA(self, server, session, envelope):
        with open(mailbox, "ab") as file:
            file.write(("%s -> %s tls=%s\n" % (envelope.mail_from, ",".join(envelope.rcpt_tos),
                                               session.ssl is not None)).encode())
            file.write(envelope.content)
        return "250 taken"


context = None
if certificate != "-":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
controller = Controller(Keep(), hostname="127.0.0.1", port=int(port), tls_context=context)
controller.start()
print("ready", flush=True)
threading.Event().wait()
