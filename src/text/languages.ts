/** The 52 languages of mBART-50, https://arxiv.org/abs/2008.00401. */
import { LingolensError } from "../errors.js";

export interface Language {
  /** Code of the mBART vocabulary, such as "en_XX". */
  readonly code: string;
  /** ISO 639-1 code, such as "en". */
  readonly iso: string;
  /** Name in English. */
  readonly name: string;
}

/** In the order of their ids. */
export const languages: readonly Language[] = Object.entries({
  ar_AR: "Arabic",
  cs_CZ: "Czech",
  de_DE: "German",
  en_XX: "English",
  es_XX: "Spanish",
  et_EE: "Estonian",
  fi_FI: "Finnish",
  fr_XX: "French",
  gu_IN: "Gujarati",
  hi_IN: "Hindi",
  it_IT: "Italian",
  ja_XX: "Japanese",
  kk_KZ: "Kazakh",
  ko_KR: "Korean",
  lt_LT: "Lithuanian",
  lv_LV: "Latvian",
  my_MM: "Burmese",
  ne_NP: "Nepali",
  nl_XX: "Dutch",
  ro_RO: "Romanian",
  ru_RU: "Russian",
  si_LK: "Sinhala",
  tr_TR: "Turkish",
  vi_VN: "Vietnamese",
  zh_CN: "Chinese",
  af_ZA: "Afrikaans",
  az_AZ: "Azerbaijani",
  bn_IN: "Bengali",
  fa_IR: "Persian",
  he_IL: "Hebrew",
  hr_HR: "Croatian",
  id_ID: "Indonesian",
  ka_GE: "Georgian",
  km_KH: "Khmer",
  mk_MK: "Macedonian",
  ml_IN: "Malayalam",
  mn_MN: "Mongolian",
  mr_IN: "Marathi",
  pl_PL: "Polish",
  ps_AF: "Pashto",
  pt_XX: "Portuguese",
  sv_SE: "Swedish",
  sw_KE: "Swahili",
  ta_IN: "Tamil",
  te_IN: "Telugu",
  th_TH: "Thai",
  tl_XX: "Tagalog",
  uk_UA: "Ukrainian",
  ur_PK: "Urdu",
  xh_ZA: "Xhosa",
  gl_ES: "Galician",
  sl_SI: "Slovenian",
}).map(([code, name]) => ({ code, iso: code.slice(0, 2), name }));

/**
 * The language that an ISO code ("en") or an mBART code ("en_XX") names; upper and lower case are the same.
 * @param known the languages to choose from. Default: all 52.
 * @throws {LingolensError} `unknown-language`, naming the nearest language and those that are known.
 */
export function resolveLanguage(text: string, known: readonly Language[] = languages): Language {
  const wanted = text.trim().toLowerCase();
  const found = known.find(({ code, iso }) => iso === wanted || code.toLowerCase() === wanted);
  if (found) return found;

  const elsewhere = languages.find(({ code, iso }) => iso === wanted || code.toLowerCase() === wanted);
  const close = known.filter((language) => isClose(wanted, language)).slice(0, 3);
  const reason = elsewhere ? `The model does not speak ${elsewhere.name} (${elsewhere.iso}).` : "";
  const guess = close.map(({ iso, name }) => `"${iso}" (${name})`).join(" or ");
  throw new LingolensError(
    "unknown-language",
    [
      reason || `Unknown language "${text}".`,
      guess && !elsewhere ? `Did you mean ${guess}?` : "",
      `Known languages: ${known.map(({ iso }) => iso).join(", ")}.`,
    ]
      .filter(Boolean)
      .join(" "),
  );
}

/** Whether someone who wrote `wanted` may have meant this language: its name, or another region ("en-US"). */
function isClose(wanted: string, { iso, name }: Language): boolean {
  if (wanted === "") return false;
  return name.toLowerCase().startsWith(wanted.slice(0, 4)) || wanted.split(/[-_]/)[0] === iso;
}
