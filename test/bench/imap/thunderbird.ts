/** What Thunderbird asks for when it lists a mailbox (nsImapProtocol), `Content-Type` among it. */
export const LIST_ITEMS =
  '(UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])';
