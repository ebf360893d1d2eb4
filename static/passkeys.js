/* What went wrong with a passkey is said on the page, not only in the browser's console. */
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const refused = event.detail.exception?.name === "NotAllowedError";
  const place = document.querySelector("[data-passkey-error]");
  if (place) {
    place.textContent = refused
      ? "No passkey was used: it was cancelled, or took too long. You can try again."
      : "The passkey could not be used. You can try again, or sign in another way.";
  }
});
