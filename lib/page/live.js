const PATIENCE_MS = 10000

async function look() {
  const answer = await fetch(location.href, {
    headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE_MS)
  })
  if (answer.status === 401) throw new Error("This link has run out: schedule.py status-link prints another.")
  if (!answer.ok) throw new Error(`It could not be asked: ${answer.status}. What you see is older.`)
  return new DOMParser().parseFromString(await answer.text(), "text/html")
}

function show(next) {
  for (const part of next.querySelectorAll("[data-live]")) {
    const old = document.getElementById(part.id)
    // whoever is at a part with the keyboard keeps their place
    if (!old || old.contains(document.activeElement) || old.outerHTML === part.outerHTML) continue
    part.querySelectorAll("details").forEach((now, at) => { now.open = old.querySelectorAll("details")[at]?.open })
    old.replaceWith(part)
  }
  document.title = next.title
  return next.getElementById("live").dataset.every
}

async function live(every) {
  const trouble = document.getElementById("trouble")
  try {
    if (!document.hidden) every = show(await look())
    trouble.textContent = ""
  } catch (error) {
    trouble.textContent = error.message
  }
  setTimeout(live, 1000 * every, every)
}

const first = document.getElementById("live").dataset.every
setTimeout(live, 1000 * first, first)
