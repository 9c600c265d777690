import {
  languageTag, languages, preferredLanguage, translate, type Language, type PlainKey, type TextArguments, type TextKey,
} from '../i18n.ts';
import { load, save } from './storage.ts';

const KEY = 'portico.language';

class PageLanguage {
  current = $state<Language>('en');
  #title: PlainKey | undefined;

  constructor() {
    const stored = load('local', KEY);
    this.current = languages.find((language) => language === stored) ?? preferredLanguage(navigator.languages);
    this.#apply();
  }

  choose(language: Language): void {
    this.current = language;
    save('local', KEY, language);
    this.#apply();
  }

  /** Gives the page its title, which follows the language. */
  entitle(title: PlainKey): void {
    this.#title = title;
    this.#apply();
  }

  #apply(): void {
    document.documentElement.lang = languageTag[this.current];
    if (this.#title) document.title = translate(this.current, this.#title);
  }
}

export const language = new PageLanguage();

/** A text in the page's language; reading it in a template keeps the template up to date. */
export function t<K extends TextKey>(key: K, ...values: TextArguments<K>): string {
  return translate(language.current, key, ...values);
}

/** A number as people write it, grouped by thousands. */
export function count(value: number): string {
  return value.toLocaleString(languageTag[language.current]);
}

/** The reader's own kind of the page's language, such as `en-GB`: dates differ between them. */
const locale = (): string => navigator.languages.find((tag) => tag.startsWith(language.current)) ?? languageTag[language.current];

/** A moment (RFC 3339) as the reader writes dates. */
export function date(moment: string, precision: 'day' | 'minute' = 'day'): string {
  const time = precision === 'minute' ? ({ timeStyle: 'short' } as const) : {};
  const value = new Date(moment);
  return Number.isNaN(value.getTime()) ? moment : value.toLocaleString(locale(), { dateStyle: 'medium', ...time });
}
