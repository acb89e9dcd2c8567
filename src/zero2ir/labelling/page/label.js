// Draws what the server says. Texts of documents and queries become text nodes, never markup.
"use strict";

const token = document.querySelector("meta[name=token]").content;
const at = (id) => document.getElementById(id);
let view = null;
let busy = false;
let place = -1; // of the marked word that was gone to last

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function segments(parent, pieces) {
  parent.replaceChildren(...pieces.map(([text, marked]) => (marked ? element("mark", text) : document.createTextNode(text))));
}

async function ask(path, body) {
  if (busy) return null;
  busy = true;
  document.body.classList.add("busy");
  const slow = setTimeout(() => (at("message").textContent = "One moment: the model is fitted …"), 400);
  try {
    const post = { method: "POST", headers: { "Content-Type": "application/json", "X-Zero2ir-Token": token }, body: JSON.stringify(body) };
    const response = await fetch(path, body === undefined ? {} : post);
    const json = response.headers.get("Content-Type")?.startsWith("application/json");
    const said = json ? await response.json() : { error: await response.text() };
    at("message").textContent = response.ok ? "" : said.error || "This did not work.";
    if (response.status === 409 && body !== undefined) {
      const now = await fetch("view"); // it was answered elsewhere: what is asked now is another thing
      return now.ok ? await now.json() : null;
    }
    return response.ok ? said : null;
  } catch {
    at("message").textContent = "The server does not answer; what you answered is kept. Start it again and open its new address.";
    return null;
  } finally {
    clearTimeout(slow);
    busy = false;
    document.body.classList.remove("busy");
  }
}

function draw(next) {
  if (next === null) return;
  const other = view?.item?.doc_id !== next.item?.doc_id || view?.item?.query_id !== next.item?.query_id;
  view = next;
  at("share").value = view.share;
  at("progress").textContent = view.progress;
  at("asked").hidden = at("ranked").hidden = view.item === null;
  at("done").hidden = view.item !== null;
  at("stopped").textContent = view.stopped || "";
  at("effect").textContent = view.effect || "Not known before the first batch is judged.";
  at("agreement").textContent = view.agreement || "";
  for (const button of document.querySelectorAll("nav button")) button.disabled = button.dataset.key === "u" ? !view.answer_count : !view.item;
  if (view.item) {
    at("query").textContent = view.item.query;
    at("doc_id").textContent = view.item.doc_id;
    at("repeat").hidden = !view.item.repeat;
    at("title").hidden = !view.title.length;
    segments(at("title"), view.title);
    segments(at("text"), view.text);
    at("next").hidden = !at("text").querySelector("mark");
    if (other) {
      place = -1;
      at("text").scrollTop = 0;
      window.scrollTo(0, 0);
    }
  }
  at("ranking").replaceChildren(...view.ranking.map(ranked));
  at("doubtful").hidden = !view.doubts.length;
  at("doubts").replaceChildren(...view.doubts.map(doubt));
}

function ranked(found) {
  const row = element("li", "");
  row.append(element("strong", found.doc_id));
  if (found.grade !== null) row.append(" ", element("span", String(found.grade), "given"));
  row.append(element("span", found.snippet, "snippet"));
  return row;
}

function doubt(one) {
  const row = element("li", "");
  row.append(element("strong", one.query), element("span", `${one.doc_id}: ${one.reason}`, "snippet"));
  for (const grade of [0, 1, 2]) {
    const button = element("button", String(grade));
    button.type = "button";
    button.title = `judge it again: ${grade}`;
    button.addEventListener("click", () => again(one, grade));
    row.append(button);
  }
  return row;
}

async function again(one, grade) {
  draw(await ask("again", { query_id: one.query_id, doc_id: one.doc_id, grade, answer_count: view.answer_count }));
}

function goOn() {
  const marks = [...at("text").querySelectorAll("mark")];
  marks[place]?.classList.remove("here");
  place = (place + 1) % marks.length;
  marks[place]?.classList.add("here");
  marks[place]?.scrollIntoView({ block: "center" });
}

async function press(key) {
  if (!view || busy) return;
  if (key === "n") return goOn();
  const answer_count = view.answer_count;
  let next = null;
  if (key === "u" && answer_count) next = await ask("undo", { answer_count });
  else if (view.item && key === "s") next = await ask("answer", { grade: null, answer_count });
  else if (view.item && ["0", "1", "2"].includes(key)) next = await ask("answer", { grade: Number(key), answer_count });
  draw(next);
}

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  press(event.key);
});
for (const button of document.querySelectorAll("nav button")) button.addEventListener("click", () => press(button.dataset.key));
at("next").addEventListener("click", goOn);
at("save")?.addEventListener("click", async () => {
  const said = await ask("save", { answer_count: view.answer_count });
  if (said?.lines) at("saved").replaceChildren(...said.lines.map((line) => element("li", line)));
});
ask("view").then(draw);
