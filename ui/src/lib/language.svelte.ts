import { languageTag, languages, preferredLanguage, translate, type Language, type TextArguments, type TextKey } from '../i18n.ts';
import { load, save } from './storage.ts';

const KEY = 'portico.language';

class PageLanguage {
  current = $state<Language>('en');

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

  #apply(): void {
    document.documentElement.lang = languageTag[this.current];
    document.title = translate(this.current, 'title');
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
