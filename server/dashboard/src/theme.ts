// The page's colours: as the browser prefers, until somebody has chosen; a browser without storage forgets the choice.
export type Theme = "light" | "dark";

const theme_key = "cairn-theme";

function chosen(): string | null {
  try {
    return localStorage.getItem(theme_key);
  } catch {
    return null;
  }
}

function show(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
}

export function currentTheme(): Theme {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

/** Before anything is drawn. */
export function startTheme(): void {
  const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const stored = chosen();
  show(stored === "dark" || stored === "light" ? stored : preferred);
}

export function chooseTheme(theme: Theme): void {
  show(theme);
  try {
    localStorage.setItem(theme_key, theme);
  } catch {
    // Then it lasts as long as the page.
  }
}
