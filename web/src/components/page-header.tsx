import { INTERFACE_LANGUAGES, type InterfaceLanguage, useInterface } from "../i18n/i18n.js";
import { languageName } from "../settings/languages.js";
import { THEMES, type Theme, useTheme } from "../settings/use-theme.js";

export function PageHeader() {
  const { say, language, setLanguage } = useInterface();
  const [theme, setTheme] = useTheme();
  return (
    <header className="page-header">
      <a className="skip" href="#captions">
        {say.skip}
      </a>
      <p className="wordmark">
        <img src="icon.svg" alt="" width="28" height="28" />
        <span>
          lingolens <small>{say.tagline}</small>
        </span>
      </p>
      <div className="page-settings">
        <select
          aria-label={say.theme}
          value={theme}
          onChange={({ target }) => setTheme(target.value as Theme)}
        >
          {THEMES.map((one) => (
            <option key={one} value={one}>
              {say.themes[one]}
            </option>
          ))}
        </select>
        <select
          aria-label={say.interfaceLanguage}
          value={language}
          onChange={({ target }) => setLanguage(target.value as InterfaceLanguage)}
        >
          {INTERFACE_LANGUAGES.map((one) => (
            <option key={one} value={one} lang={one}>
              {languageName(one, one)}
            </option>
          ))}
        </select>
      </div>
    </header>
  );
}
