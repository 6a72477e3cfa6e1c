import { SealgateError } from '../errors.ts';
import type { Pkcs11Uri } from './pkcs11-uri.ts';
import type { ObjectSelector, TokenSelector } from './source-kinds.ts';

/** What a PKCS #11 URI says about where keys are. */
export type UriPlace = {
  token: TokenSelector;
  objects: ObjectSelector;
  /** Absolute path of the module; null: the URI does not say. */
  module: string | null;
  /** Absolute path of the file with the PIN; null: the URI does not say. */
  pinFile: string | null;
};

/**
 * RFC 7512 §2.5 wants every attribute to fit. What a token is not chosen by here is refused rather than passed over, so that no
 * URI means more than it says.
 *
 * @throws SealgateError `key.uri-unusable`
 */
export function placeOf(uri: Pkcs11Uri): UriPlace {
  if (uri.slotId !== null) {
    throw unusable(
      'slot-id is the number of a slot, which is another one after the next start; name the token by token or serial',
    );
  }
  if (uri.slotManufacturer !== null) throw unusable('slot-manufacturer does not tell tokens apart');
  if (uri.libraryManufacturer !== null || uri.libraryDescription !== null || uri.libraryVersion !== null) {
    throw unusable('libraries are named by their path; use module-path in place of library-…');
  }
  if (uri.moduleName !== null && uri.modulePath === null) {
    throw unusable('module-name is looked for in other folders by every program; use module-path');
  }
  if (uri.type !== null && uri.type !== 'private' && uri.type !== 'cert') {
    throw unusable('type says which objects are meant, and only private keys and their certificates are');
  }
  return {
    token: {
      label: uri.token,
      serial: uri.serial,
      model: uri.model,
      manufacturer: uri.manufacturer,
      reader: uri.slotDescription,
    },
    objects: { object: uri.object, id: uri.id },
    module: uri.modulePath,
    pinFile: uri.pinFile,
  };
}

function unusable(why: string): SealgateError {
  return new SealgateError({
    code: 'key.uri-unusable',
    publicText: `This PKCS #11 URI names no keys that can be used here: ${why}.`,
    duration: 'permanent',
  });
}
