"""Notices as mail servers word them, written by hand after their documentation and manners; one "
"row a dialect."""

from __future__ import annotations

from dataclasses import dataclass

from telltale.mail.report import Action, Stage

RETURNED = """\
Return-Path: <b-7f3a@desk.example>
Received: from desk.example (desk.example [192.0.2.7])
\tby mx.harbour.example with ESMTP id 4ABC; Mon, 2 Nov 2026 10:00:00 +0000
From: Ana <support@desk.example>
To: {to}
Subject: Your refund
Message-ID: <m1@desk.example>
References: <m0@customer.example>

Hello
"""


@dataclass(frozen=True)
class Letter:
    """A notice, and what it says of its first recipient."""

    name: str
    text: str
    recipient: str = "ana@lamp.example"
    words: str = ""
    type: str = "smtp"
    status: str = ""
    remote_mta: str = ""
    stage: Stage | None = None
    action: Action = Action.FAILED
    sender: str = "MAILER-DAEMON@mx.harbour.example"
    subject: str = "failure notice"
    header: str = "Return-Path: <>\n"
    charset: str = "utf-8"
    how_many: int = 1

    def octets(self, *, with_returned: bool = True) -> bytes:
        returned = RETURNED.format(to=self.recipient) if with_returned else ""
        return (
            f"{self.header}From: {self.sender}\nTo: b-7f3a@desk.example\nSubject: {self.subject}\n"
            f"Content-Type: text/plain; charset={self.charset}\nContent-Transfer-Encoding: 8bit\n\n"
            f"{self.text}\n{returned}"
        ).encode(self.charset)


NO_USER = "550 5.1.1 <ana@lamp.example>: No such user here"

LETTERS = (
    Letter(
        "qmail",
        "Hi. This is the qmail-send program at mx.harbour.example.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        "<ana@lamp.example>:\n192.0.2.25 does not like recipient.\n"
        f"Remote host said: {NO_USER}\nGiving up on 192.0.2.25.\n\n"
        "--- Below this line is a copy of the message.\n",
        words=NO_USER,
        status="5.1.1",
        remote_mta="192.0.2.25",
    ),
    Letter(
        "qmail by itself",
        "Hi. This is the qmail-send program at mx.harbour.example.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n\n"
        "<ana@lamp.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
        "--- Below this line is a copy of the message.\n",
        words="Sorry, no mailbox here by that name. (#5.1.1)",
        type="x-qmail",
        status="5.1.1",
    ),
    Letter(
        "yahoo",
        "Sorry, we were unable to deliver your message to the following address.\n\n"
        f"<ana@lamp.example>:\nRemote host said:\n{NO_USER}\n[RCPT_TO]\n\n--- Below this line is a"
        " copy of the message.\n",
        words=NO_USER,
        status="5.1.1",
        stage=Stage.RCPT,
        sender="MAILER-DAEMON@yahoo.example",
    ),
    Letter(
        "exim",
        "This message was created automatically by mail delivery software.\n\n"
        "A message that you sent could not be delivered to one or more of its\n"
        "recipients. This is a permanent error. The following address(es) failed:\n\n"
        "  ana@lamp.example\n    host mx.lamp.example [192.0.2.25]\n"
        "    SMTP error from remote mail server after RCPT TO:<ana@lamp.example>:\n"
        f"    {NO_USER}\n",
        words=NO_USER,
        status="5.1.1",
        remote_mta="mx.lamp.example",
        stage=Stage.RCPT,
        subject="Mail delivery failed: returning message to sender",
        header="Return-Path: <>\nX-Failed-Recipients: ana@lamp.example\nAuto-Submitted: auto-replied\n",
    ),
    Letter(
        "exim, as it was",
        "This message was created automatically by mail delivery software.\n\n"
        "A message that you sent could not be delivered to one or more of its\n"
        "recipients. This is a permanent error. The following address(es) failed:\n\n"
        "  ana@lamp.example\n    (generated from anna@lamp.example)\n"
        "    SMTP error from remote mail server after end of data:\n"
        "    host mx.lamp.example [192.0.2.25]: 554 5.7.0\n    Header error\n",
        words="554 5.7.0 Header error",
        status="5.7.0",
        remote_mta="mx.lamp.example",
        stage=Stage.CONTENT,
    ),
    Letter(
        "exim, still trying",
        "This message was created automatically by mail delivery software.\n"
        "A message that you sent has not yet been delivered to one or more of its\n"
        "recipients after more than 24 hours on the queue on mx.harbour.example.\n\n"
        "The address to which the message has not yet been delivered is:\n\n"
        "  ana@lamp.example\n    host mx.lamp.example [192.0.2.25]\n"
        "    Delay reason: SMTP error from remote mail server after RCPT TO:<ana@lamp.example>:\n"
        "    450 4.2.0 Greylisted\n\n"
        "No action is required on your part. Delivery attempts will continue for\nsome time.\n",
        words="450 4.2.0 Greylisted",
        status="4.2.0",
        remote_mta="mx.lamp.example",
        stage=Stage.RCPT,
        action=Action.DELAYED,
        subject="Warning: message 1abc delayed 24 hours",
    ),
    Letter(
        "postfix without a report part",
        "This is the mail system at host mx.harbour.example.\n\n"
        "I'm sorry to have to inform you that your message could not\nbe delivered to one or more"
        " recipients.\n\n"
        "For further assistance, please send mail to <postmaster@harbour.example>\n\n"
        "If you do so, please include this problem report. You can\n"
        "delete your own text from the attached returned message.\n\n"
        "                   The mail system\n\n"
        "<ana@lamp.example>: host mx.lamp.example[192.0.2.25] said: 550 5.1.1\n"
        "    <ana@lamp.example>: No such user here (in reply to RCPT TO command)\n",
        words=NO_USER,
        status="5.1.1",
        remote_mta="mx.lamp.example",
        stage=Stage.RCPT,
        subject="Undelivered Mail Returned to Sender",
    ),
    Letter(
        "sendmail without a report part",
        "The original message was received at Mon, 2 Nov 2026 10:00:00 GMT\nfrom desk.example [192.0.2.7]\n\n"
        "   ----- The following addresses had permanent fatal errors -----\n"
        f"<ana@lamp.example>\n    (reason: {NO_USER})\n\n"
        "   ----- Transcript of session follows -----\n... while talking to mx.lamp.example.:\n"
        f">>> RCPT To:<ana@lamp.example>\n<<< {NO_USER}\n550 5.1.1 <ana@lamp.example>... User unknown\n\n"
        "   ----- Unsent message follows -----\n",
        words=NO_USER,
        status="5.1.1",
        stage=Stage.RCPT,
        subject="Returned mail: see transcript for details",
    ),
    Letter(
        "microsoft 365",
        "Delivery has failed to these recipients or groups:\n\nAna (ana@lamp.example)\n"
        "The email address you entered couldn't be found.\n\n"
        "Diagnostic information for administrators:\n\nGenerating server: AM0PR01MB.prod.outlook.example\n\n"
        "ana@lamp.example\nRemote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; "
        "Recipient not found'\n\n"
        "Original message headers:\n\n",
        words="550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found",
        status="5.1.10",
        sender="Microsoft Outlook <postmaster@lamp.example>",
        subject="Undeliverable: Your refund",
    ),
    Letter(
        "exchange 2010 in German",
        "Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Verteilerlisten:\n\n"
        "Ana (ana@lamp.example)<mailto:ana@lamp.example>\nDie E-Mail-Adresse wurde nicht gefunden.\n\n"
        "Diagnoseinformationen für Administratoren:\n\nGenerierender Server: exchange.lamp.example\n\n"
        "ana@lamp.example\n#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##rfc822;ana@lamp.example\n\n"
        "Ursprüngliche Nachrichtenkopfzeilen:\n\n",
        words="550 5.1.1 RESOLVER.ADR.RecipNotFound; not found",
        status="5.1.1",
        sender="System Administrator <postmaster@lamp.example>",
        subject="Unzustellbar: Ihre Erstattung",
    ),
    Letter(
        "exchange 5.5",
        "Your message\n\n  To:      somebody\n  Subject: Your refund\n  Sent:    Mon, 2 Nov 2026 "
        "10:00:00 -0000\n\n"
        "did not reach the following recipient(s):\n\nana@lamp.example on Mon, 2 Nov 2026 10:00:05 -0000\n"
        "    The recipient name is not recognized\n"
        "\tThe MTS-ID of the original message is: c=us;a= ;p=lamp;l=LAMP0211020\n"
        "    MSEXCH:IMS:Lamp:MAIN:LAMP 0 (000C05A6) Unknown Recipient\n",
        words="The recipient name is not recognized",
        type="x-exchange",
        sender="System Administrator <postmaster@lamp.example>",
        subject="Undeliverable: Your refund",
    ),
    Letter(
        "gmail",
        "** Address not found **\n\nYour message wasn't delivered to ana@lamp.example because the"
        " address couldn't "
        "be found.\n\nThe response from the remote server was:\n\n550 5.1.1 No such user. q1-2002 - gsmtp\n\n"
        "----- Original message -----\n\n",
        words="550 5.1.1 No such user. q1-2002 - gsmtp",
        status="5.1.1",
        sender="Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
        subject="Delivery Status Notification (Failure)",
    ),
    Letter(
        "gmail, as it was",
        "Delivery to the following recipient failed permanently:\n\n     ana@lamp.example\n\n"
        "Technical details of permanent failure:\nGoogle tried to deliver your message, but it "
        "was rejected by the "
        "server for the recipient domain lamp.example by mx.lamp.example. [192.0.2.25].\n\n"
        "The error that the other server returned was:\n550 5.1.1 No such user\n\n----- Original "
        "message -----\n\n",
        words="550 5.1.1 No such user",
        status="5.1.1",
        remote_mta="mx.lamp.example",
        sender="Mail Delivery Subsystem <mailer-daemon@googlemail.example>",
        subject="Delivery Status Notification (Failure)",
    ),
    Letter(
        "dragonfly",
        "This is the DragonFly Mail Agent v0.13 at harbour.example.\n\n"
        "There was an error delivering your mail to <ana@lamp.example>.\n\n"
        f"mx.lamp.example [192.0.2.25] did not like our RCPT TO:\n{NO_USER}\n\nMessage headers follow.\n\n",
        words=NO_USER,
        status="5.1.1",
        remote_mta="mx.lamp.example",
        stage=Stage.RCPT,
        sender="MAILER-DAEMON <>",
        subject="Mail delivery failed",
    ),
    Letter(
        "opensmtpd",
        "    Hi!\n\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\n\n"
        "    An error has occurred while attempting to deliver a message for\n    the following "
        "list of recipients:\n\n"
        "ana@lamp.example: 550 5.1.1 No such user, see https://help.lamp.example\n\n"
        "    Below is a copy of the original message:\n\n",
        words="550 5.1.1 No such user, see https://help.lamp.example",
        status="5.1.1",
        subject="Delivery status notification: error",
    ),
    Letter(
        "courier",
        "This is a delivery status notification from mx.harbour.example,\nrunning the Courier "
        "mail server, version 0.65.\n\n"
        "The original message was received on Mon, 2 Nov 2026 10:00:00 +0000\n\n"
        "---------------------------------------------------------------------------\n\n"
        "                           UNDELIVERABLE MAIL\n\n"
        "Your message to the following recipients cannot be delivered:\n\n"
        "<ana@lamp.example>:\n    mx.lamp.example [192.0.2.25]:\n>>> RCPT TO:<ana@lamp.example>\n"
        f"<<< {NO_USER}\n\n"
        "---------------------------------------------------------------------------\n",
        words=NO_USER,
        status="5.1.1",
        remote_mta="mx.lamp.example",
        stage=Stage.RCPT,
        subject="NOTICE: mail delivery status.",
    ),
    Letter(
        "courier, still trying",
        "This is a delivery status notification from mx.harbour.example,\nrunning the Courier mail server.\n\n"
        "                     DELAYS IN DELIVERING YOUR MESSAGE\n\n"
        "The delivery of the following E-mail message has been delayed.  This is an advisory notice for\n"
        "the following addresses only:\n\n<ana@lamp.example>:\n     mx.lamp.example [192.0.2.25]:\n"
        " <<< Network connection shut down by the remote mail server\n\n"
        "---------------------------------------------------------------------------\n\n"
        "If your message was also sent to additional recipients, their delivery\nstatus is not included.\n",
        words="Network connection shut down by the remote mail server",
        type="x-courier",
        remote_mta="mx.lamp.example",
        action=Action.DELAYED,
        subject="NOTICE: mail delivery status.",
    ),
    Letter(
        "exim, that met nobody",
        "This message was created automatically by mail delivery software.\n\n"
        "A message that you sent could not be delivered to one or more of its\n"
        "recipients. This is a permanent error. The following address(es) failed:\n\n"
        "  ana@lamp.example\n    host mx.lamp.example [192.0.2.25]\n    retry timeout exceeded\n",
        words="retry timeout exceeded",
        type="x-exim",
        remote_mta="mx.lamp.example",
        subject="Mail delivery failed: returning message to sender",
    ),
    Letter(
        "domino",
        "Your message\n\n  Subject: Your refund\n\nwas not delivered to:\n\n  "
        "ana@lamp.example\n\nbecause:\n\n"
        "  User ana (ana@lamp.example) not listed in Domino Directory\n",
        words="User ana (ana@lamp.example) not listed in Domino Directory",
        type="x-notes",
        sender="Postmaster@lamp.example",
        subject="DELIVERY FAILURE: User ana (ana@lamp.example) not listed in Domino Directory",
    ),
    Letter(
        "groupwise",
        "The message that you sent was undeliverable to the following:\n\n\tana@lamp.example "
        "(user unknown)\n\n"
        "Possibly truncated original message follows:\n\n",
        words="user unknown",
        type="x-groupwise",
        sender="Mailer-Daemon@lamp.example",
        subject="Message status - undeliverable",
    ),
    Letter(
        "aol",
        "Your mail to the following recipients could not be delivered because they are not "
        "accepting mail from "
        "support@desk.example:\n\tana\n",
        recipient="ana@aol.example",
        words="Your mail to the following recipients could not be delivered because they are not "
        "accepting mail from "
        "support@desk.example:",
        type="x-aol",
        sender="Mail Delivery Subsystem <MAILER-DAEMON@aol.example>",
        subject="Mail Delivery Problem",
    ),
    Letter(
        "au",
        "次のあて先へのメッセージはエラーのため送信できませんでした。\n\n"
        "Each of the following recipients was rejected by a "
        "remote\nmail server.\n\n    Recipient: <ana@lamp.example>\n    >>> RCPT "
        f"TO:<ana@lamp.example>\n    <<< {NO_USER}\n",
        words=NO_USER,
        status="5.1.1",
        stage=Stage.RCPT,
        sender="Postmaster@ezweb.example",
        subject="Mail System Error - Returned Mail",
        charset="iso-2022-jp",
    ),
    Letter(
        "kddi",
        "Your mail sent on: Mon, 2 Nov 2026 10:00:00 +0900\n     Could not be delivered to: "
        "<ana@lamp.example>\n"
        "     As their mailbox is full.\n",
        words="As their mailbox is full.",
        type="x-kddi",
        sender="no-reply@lamp.example",
        subject="Mail System Error - Returned Mail",
    ),
    Letter(
        "openwave",
        "This Message was undeliverable due to the following reason:\n\n"
        "Each of the following recipients was not found.\n\nThe following recipients did not "
        "receive your message:\n\n"
        "     <ana@lamp.example>\n\nPlease reply to Postmaster@harbour.example\nif you feel this "
        "message to be in error.\n",
        words="Each of the following recipients was not found.",
        type="x-openwave",
        sender="Mail Administrator <Postmaster@harbour.example>",
        subject="Mail System Error - Returned Mail",
    ),
    Letter(
        "messaging server",
        "Your message cannot be delivered to the following recipients:\n\n  Recipient address: "
        "ana@lamp.example\n"
        "  Reason: Remote SMTP server has rejected address\n  Diagnostic code: smtp;550 5.1.1 "
        "unknown or illegal alias\n"
        "  Remote system: dns;mx.lamp.example (TCP|192.0.2.7|1|192.0.2.25|25)\n",
        words="550 5.1.1 unknown or illegal alias",
        status="5.1.1",
        sender="Internet Mail Delivery <postmaster@harbour.example>",
        subject="Delivery Notification: Delivery has failed",
    ),
    Letter(
        "mailmarshal",
        "Your message:\n   From:    support@desk.example\n   Subject: Your refund\n\nCould not be"
        " delivered because of\n\n"
        "550 5.1.1 User unknown\n\nThe following recipients were affected:\n    ana@lamp.example\n",
        words="550 5.1.1 User unknown",
        status="5.1.1",
        sender="MailMarshal <postmaster@lamp.example>",
        subject='Undeliverable Mail: "Your refund"',
    ),
    Letter(
        "imail",
        f"Unknown user: ana@lamp.example\n\nRCPT TO generated following response:\n{NO_USER}\n\n"
        "Original message follows.\n\n",
        words=NO_USER,
        status="5.1.1",
        sender='"Postmaster" <postmaster@lamp.example>',
        subject="Undeliverable Mail",
    ),
    Letter(
        "interscan",
        "****** Message from InterScan Messaging Security Suite ******\n\nSent <<< RCPT "
        "TO:<ana@lamp.example>\n"
        f"Received >>> {NO_USER}\n\nUnable to deliver message to <ana@lamp.example>.\n",
        words=NO_USER,
        status="5.1.1",
        sender="imss@lamp.example",
        subject="Mail could not be delivered",
        header="",
    ),
    Letter(
        "lsmtp",
        "An error was detected while processing the enclosed message.  A list of\nthe affected "
        "recipient follows.\n\n"
        "--> Error description:\nError-for:  ana@lamp.example\nError-Code: 3\n"
        'Error-Text: Mailer mx.lamp.example said:\n            "550 No such user"\n\n'
        "Error-End:  One error reported.\n\n",
        words="550 No such user",
        sender='"LSMTP for Windows NT" <postmaster@lamp.example>',
        subject="Undelivered mail",
    ),
    Letter(
        "cdo",
        "--- Non-Delivery Report ---\nThe email below could not be delivered to the following user:\n\n"
        '"Ana" <ana@lamp.example>\n\nOld message:\n\n',
        type="",
        sender="admin@lamp.example",
        subject="Non-Delivery: Your refund",
        header="",
    ),
    Letter(
        "communigate",
        "Failed to deliver to 'ana@lamp.example'\nSMTP module(domain lamp.example) reports:\n "
        f"host mx.lamp.example says:\n {NO_USER}\n\n",
        words=NO_USER,
        status="5.1.1",
        subject="Undeliverable mail: Your refund",
    ),
    Letter(
        "mdaemon",
        "The attached message had PERMANENT fatal delivery errors!\n\n--- Session Transcript ---\n"
        " Mon 2026-11-02 10:00:00: --> RCPT To:<ana@lamp.example>\n"
        f" Mon 2026-11-02 10:00:00: <-- {NO_USER}\n--- End Transcript ---\n",
        words=NO_USER,
        status="5.1.1",
        sender="MDaemon@harbour.example",
        subject="Permanent Delivery Failure",
    ),
    Letter(
        "ironport",
        "The following message to <ana@lamp.example> was undeliverable.\nThe reason for the problem:\n"
        "5.1.0 - Unknown address error 550-'5.1.1 No such user'\n",
        words="5.1.0 - Unknown address error 550-'5.1.1 No such user'",
        type="x-ironport",
        status="5.1.0",
        subject="Delivery Status Notification (Failure)",
    ),
    Letter(
        "zoho",
        "This message was created automatically by mail delivery software.\n"
        " A message that you sent could not be delivered to one or more of its recipients. This "
        "is a permanent error.\n\n"
        "ana@lamp.example Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 "
        "<ana@lamp.example>... User Unknown\n\n",
        words="Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 <ana@lamp.example>... User Unknown",
        type="x-zoho",
        sender="mailer-daemon@mail.zoho.example",
        subject="Undelivered Mail Returned to Sender",
    ),
    Letter(
        "james",
        "Error: Invalid user address\n\nError message below:\n550 - Requested action not taken: "
        "no such user here\n\n"
        "Message details:\n  Subject: Your refund\n  MAIL FROM: support@desk.example\n  RCPT TO: "
        "ana@lamp.example\n",
        words="550 - Requested action not taken: no such user here",
        sender="post_master@lamp.example",
        subject="Re:Your refund",
        header="",
    ),
    Letter(
        "qq",
        "抱歉，您的邮件被退回来了……\n原邮件信息：\n时间 2026-11-02 10:00:00\n主题 Your refund\n"
        "收件人 ana@lamp.example\n"
        "退信原因：\nhost mx.lamp.example[192.0.2.25] said: 550 Mailbox not found (in reply to RCPT TO command)\n",
        words="550 Mailbox not found",
        remote_mta="mx.lamp.example",
        stage=Stage.RCPT,
        sender="PostMaster@qq.example",
        subject="系统退信",
    ),
    Letter(
        "mail.ru",
        "Это письмо создано автоматически сервером Mail.Ru, отвечать на него не нужно.\n\n"
        "К сожалению, Ваше письмо не может быть\nдоставлено одному или нескольким "
        "получателям:\n\n**********************\n\n"
        "ana@lamp.example\nSMTP error from remote server after RCPT command:\n"
        "host mx.lamp.example [192.0.2.25]:\n550 5.1.1 No such user\n",
        words="550 5.1.1 No such user",
        status="5.1.1",
        remote_mta="mx.lamp.example",
        stage=Stage.RCPT,
        sender="Mail Delivery System <Mailer-Daemon@mail.example>",
        subject="Ваше сообщение не доставлено. Mail failure.",
    ),
    Letter(
        "fml",
        "You are not a member of this mailing list <lamp@lamp.example>.\n\nIf you know the "
        "general guide of this list, "
        "please send mail with\nthe mail body\n\n\tguide\n",
        recipient="lamp@lamp.example",
        words="You are not a member of this mailing list <lamp@lamp.example>.",
        type="x-fml",
        sender="lamp-admin@lamp.example",
        subject="You support@desk.example are not member (lamp ML)",
        header="X-MLServer: fml [fml 4.0.3 release (20011202/4.0.3)]\n",
    ),
    Letter(
        "mailenable",
        "MailEnable: Message could not be delivered to some recipients.\nThe following "
        "recipient(s) could not be reached:\n\n"
        "\tRecipient: [SMTP:ana@lamp.example]\n\tReason: Remote SMTP Server Returned: 550 No such user.\n\n"
        "Message headers follow:\n\n",
        words="550 No such user.",
        sender='"Delivery Subsystem" <POSTMASTER@harbour.example>',
        subject="Message Delivery Failure",
    ),
    Letter(
        "notes gateway",
        "------- Failure Reasons  --------\n\nUser not listed in public Name & Address Book\n"
        "ana@lamp.example\n\n"
        "------- Returned Message --------\n",
        words="User not listed in public Name & Address Book",
        type="x-notes",
        sender="postmaster@lamp.example",
        subject="Undeliverable message",
    ),
    Letter(
        "nobody in particular",
        "Your message could not be delivered to the following address:\n\n  ana@lamp.example\n\n"
        "The reason was: the mailbox is closed for good.\n",
        words="The reason was: the mailbox is closed for good.",
        type="",
    ),
    Letter(
        "nobody, in Portuguese",
        "Não foi possível entregar a sua mensagem ao destinatário:\n\n  ana@lamp.example\n\n550 "
        "5.2.2 Caixa postal cheia\n",
        words="550 5.2.2 Caixa postal cheia",
        status="5.2.2",
        subject="Mensagem não entregue",
    ),
    Letter(
        "nobody, in Polish, still trying",
        "Twoja wiadomość jeszcze nie została dostarczona do:\n\n  <ana@lamp.example>: 451 4.3.0 "
        "Temporary failure\n",
        words="451 4.3.0 Temporary failure",
        status="4.3.0",
        action=Action.DELAYED,
        subject="Opóźnienie",
    ),
)
