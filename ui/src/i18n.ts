/**
 * Texts in the page's languages. The words themselves are in `texts/`, both languages side by side: what every page says
 * in `shared.ts`, and each page's own beside it, so that a page carries no words of another. A text without one of the
 * languages is a type error, and a test compares the `{placeholders}` of the two.
 */
import type { accountTexts } from './texts/account.ts';
import type { chatTexts } from './texts/chat.ts';
import { sharedTexts } from './texts/shared.ts';

export const languages = ['en', 'zh'] as const;
export type Language = (typeof languages)[number];
export type Text = Record<Language, string>;

type Texts = typeof sharedTexts & typeof chatTexts & typeof accountTexts;
export type TextKey = keyof Texts;
/** The texts without placeholders: those that tables may name. */
export type PlainKey = { [K in TextKey]: [Placeholders<Texts[K]['en']>] extends [never] ? K : never }[TextKey];

type Placeholders<S extends string> = S extends `${string}{${infer Name}}${infer Rest}` ? Name | Placeholders<Rest> : never;
type Values<K extends TextKey> = Record<Placeholders<Texts[K]['en']>, string | number>;
/** Texts with placeholders demand their values, the others take none. */
export type TextArguments<K extends TextKey> = [Placeholders<Texts[K]['en']>] extends [never] ? [] : [values: Values<K>];

const known: Record<string, Text> = { ...sharedTexts };

/** Adds a page's own texts, before anything of it is shown. A test holds that each page knows every text it uses. */
export function learn(texts: Record<string, Text>): void {
  Object.assign(known, texts);
}

export function translate<K extends TextKey>(language: Language, key: K, ...[values]: TextArguments<K>): string {
  const text = known[key]?.[language] ?? key;
  if (!values) return text;
  const filled = values as Record<string, string | number>;
  return text.replace(/\{(\w+)\}/g, (mark, name: string) => String(filled[name] ?? mark));
}

/** Chinese for every kind of Chinese, English for everybody else. */
export function preferredLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    if (/^zh\b/i.test(tag)) return 'zh';
    if (/^en\b/i.test(tag)) return 'en';
  }
  return 'en';
}

export const languageTag: Record<Language, string> = { en: 'en', zh: 'zh-CN' };
