// Inside Thunderbird: what its address book finds, completes and fetches of the LDAP server `gateway`.

window.gateway = {
  async found(word) {
    const { MailServices } = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');
    const queries = ChromeUtils.importESModule('resource:///modules/ABQueryUtils.sys.mjs');
    const model = queries.getModelQuery('mail.addr_book.quicksearchquery.format');
    const book = MailServices.ab.directories.find(({ dirName }) => dirName === 'gateway');
    const cards = [];
    await new Promise((resolve) => {
      book.search(queries.generateQueryURI(model, [word]), word, {
        onSearchFoundCard: (card) => cards.push([card.displayName, card.primaryEmail]),
        onSearchFinished: resolve,
      });
    });
    return cards;
  },

  completed(beginning) {
    const { RESULT_SUCCESS_ONGOING, RESULT_NOMATCH_ONGOING } = Ci.nsIAutoCompleteResult;
    const completion = Cc['@mozilla.org/autocomplete/search;1?name=ldap'];
    return new Promise((resolve) => {
      completion
        .createInstance(Ci.nsIAutoCompleteSearch)
        .startSearch(beginning, JSON.stringify({ type: 'addr_to' }), null, {
          onSearchResult(_, result) {
            const { searchResult, matchCount } = result;
            if (searchResult === RESULT_SUCCESS_ONGOING || searchResult === RESULT_NOMATCH_ONGOING) return;
            resolve(Array.from({ length: matchCount }, (__, i) => result.getValueAt(i)));
          },
        });
    });
  },

  /** The dialog that it opens before it encrypts to somebody of whom it has no certificate. */
  async fetched(address, authority) {
    const certificates = Cc['@mozilla.org/security/x509certdb;1'].getService(Ci.nsIX509CertDB);
    certificates.addCertFromBase64(authority, 'CT,C,C');
    const place = 'chrome://messenger-smime/content/certFetchingStatus.xhtml';
    const dialog = window.openDialog(place, '', 'chrome', 'ldap_2.servers.gateway', [address]);
    await new Promise((resolve) => {
      const look = () => (dialog.closed ? resolve() : window.setTimeout(look, 20));
      look();
    });
    return certificates
      .getCerts()
      .filter(({ emailAddress }) => emailAddress === address)
      .map(({ sha256Fingerprint }) => sha256Fingerprint);
  },
};
