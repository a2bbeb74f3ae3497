// Light or dark: as the system has it, or as chosen here. Runs before the page is drawn, so that it never flashes.
"use strict";

{
  const KEY = "openrealm.theme";
  const THEMES = ["automatic", "light", "dark"];

  const stored = () => {
    try {
      const theme = localStorage.getItem(KEY);
      return THEMES.includes(theme) ? theme : THEMES[0];
    } catch {
      return THEMES[0]; // storage is switched off
    }
  };

  let theme = stored();

  const apply = () => {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme-button");
    if (button) button.textContent = `Theme: ${theme}`;
  };

  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme-button").addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // It lasts until the page is left.
      }
      apply();
    });
  });
}
