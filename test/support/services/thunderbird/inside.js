// Runs inside Thunderbird, in its main window: what a person does there, for tests to do.

window.furnish = async ({ ca, login, password }) => {
  const { MailServices } = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');
  const { FileUtils } = ChromeUtils.importESModule('resource://gre/modules/FileUtils.sys.mjs');
  const certificates = Cc['@mozilla.org/security/x509certdb;1'].getService(Ci.nsIX509CertDB);
  certificates.addCertFromBase64(ca.replace(/-----[^-]*-----|\s/g, ''), 'CT,C,');
  const remembered = Cc['@mozilla.org/login-manager/loginInfo;1'].createInstance(Ci.nsILoginInfo);
  remembered.init('imap://localhost', null, 'imap://localhost', login, password, '', '');
  await Services.logins.addLoginAsync(remembered);

  const server = MailServices.accounts.accounts[0].incomingServer;
  const { rootFolder } = server;
  const inbox = rootFolder
    .getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox)
    .QueryInterface(Ci.nsIMsgImapMailFolder);
  inbox.setFlag(Ci.nsMsgFolderFlags.Offline);
  const { currentAbout3Pane: pane } = window.document.getElementById('tabmail');

  const nothing = () => undefined;

  /** Something that tells an nsIUrlListener when it is done. */
  function done(start) {
    return new Promise((resolve, reject) => {
      start({
        QueryInterface: ChromeUtils.generateQI(['nsIUrlListener']),
        OnStartRunningUrl: nothing,
        OnStopRunningUrl(_, status) {
          if (Components.isSuccessCode(status)) resolve();
          else reject(new Error(`the server refused: ${(status >>> 0).toString(16)}`));
        },
      });
    });
  }

  function event(name) {
    return new Promise((resolve) => window.addEventListener(name, resolve, { once: true }));
  }

  function listed(folder) {
    return [...folder.messages].map((header) => ({
      uid: header.messageKey,
      subject: header.mime2DecodedSubject,
      size: header.messageSize,
      offline: header.flags & Ci.nsMsgMessageFlags.Offline ? header.offlineMessageSize : null,
      read: header.isRead,
    }));
  }

  /** A folder beside INBOX; the server is asked for its folders until it is among them. */
  async function folderNamed(name) {
    server.performExpand(null);
    for (;;) {
      const found = rootFolder.subFolders.find((each) => each.name === name);
      if (found) return found.QueryInterface(Ci.nsIMsgImapMailFolder);
      await new Promise((resolve) => window.setTimeout(resolve, 10));
    }
  }

  function icon(id) {
    const shown = pane.messageBrowser.contentWindow.document.getElementById(id);
    return shown.hidden ? null : shown.getAttribute('data-l10n-id');
  }

  window.desk = {
    /** Shows the folder and waits until it lists so many messages. */
    async show(count) {
      pane.displayFolder(inbox);
      // The list has rows and a selection once it is drawn.
      while (!pane.threadTree.view?.selection || pane.threadTree.view.rowCount < count)
        await new Promise((resolve) => window.setTimeout(resolve, 10));
      return listed(inbox);
    },

    /** Opens one message. `signed`: it is one whose signature Thunderbird itself looks at. */
    async open(uid, signed) {
      const header = [...inbox.messages].find(({ messageKey }) => messageKey === uid);
      pane.threadTree.selectedIndex = -1;
      const shown = event('MsgLoaded');
      pane.threadTree.selectedIndex = pane.gViewWrapper.getViewIndexForMsgHdr(header);
      await shown;
      // Not every version says when it has judged a signature: the icon is absent before, or says that nobody knows yet.
      while (signed && (icon('signedHdrIcon') ?? '-unknown-').includes('-unknown-'))
        await new Promise((resolve) => window.setTimeout(resolve, 10));
      const view = pane.messageBrowser.contentWindow;
      const { contentDocument } = view.document.getElementById('messagepane');
      return {
        text: contentDocument?.body?.textContent ?? '',
        attachments: view.currentAttachments.map(({ name }) => name),
        signed: icon('signedHdrIcon'),
        encrypted: icon('encryptedHdrIcon'),
      };
    },

    listed: () => listed(inbox),

    /** The message as it lies in Thunderbird's own store, Base64. It is there some time after it was shown. */
    async stored(uid) {
      const header = inbox.GetMessageHeader(uid);
      while (!(header.flags & Ci.nsMsgMessageFlags.Offline))
        await new Promise((resolve) => window.setTimeout(resolve, 10));
      const stream = inbox.getMsgInputStream(header, {});
      const reader = Cc['@mozilla.org/binaryinputstream;1'].createInstance(Ci.nsIBinaryInputStream);
      reader.setInputStream(stream);
      let octets = '';
      for (let more = reader.available(); more > 0; more = reader.available())
        octets += reader.readBytes(more);
      reader.close();
      return btoa(octets);
    },

    offline(away) {
      Services.io.offline = away;
    },

    /** Waits until so many messages are there, told by the server alone. */
    async told(count) {
      while ([...inbox.messages].length < count)
        await new Promise((resolve) => window.setTimeout(resolve, 20));
      return listed(inbox);
    },

    /** Puts a file into a folder, as after sending or while writing; the UID that it has there. */
    async file(name, path, replaces) {
      const folder = await folderNamed(name);
      await done((listener) => folder.updateFolderWithListener(null, listener));
      const key = await new Promise((resolve, reject) => {
        let given = null;
        MailServices.copy.copyFileMessage(
          FileUtils.File(path),
          folder,
          null,
          false,
          Ci.nsMsgMessageFlags.Read,
          '',
          {
            QueryInterface: ChromeUtils.generateQI(['nsIMsgCopyServiceListener']),
            onStartCopy: nothing,
            onProgress: nothing,
            setMessageKey(uid) {
              given = uid;
            },
            getMessageId: () => null,
            onStopCopy(status) {
              if (Components.isSuccessCode(status)) resolve(given);
              else reject(new Error(`not filed: ${(status >>> 0).toString(16)}`));
            },
          },
          null,
        );
      });
      if (replaces === null) return key;
      // For good, as a draft that was saved again.
      folder.deleteMessages([folder.GetMessageHeader(replaces)], null, true, false, null, false);
      await done((listener) => folder.expunge(listener, null));
      return key;
    },
  };
};
