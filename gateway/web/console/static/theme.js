// Before anything is drawn: the theme that was chosen here, if one was.
try {
  const chosen = localStorage.getItem("dockgate-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // no storage, no choice: the system's theme it is
}
