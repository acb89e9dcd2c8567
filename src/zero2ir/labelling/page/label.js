// Renders the server's view. Texts of documents and queries become text nodes, never markup.
"use strict";

const token = document.querySelector("meta[name=token]").content;
const at = (id) => document.getElementById(id);
let view = null;
let busy = false;
let place = -1; // index of the highlighted word that was last scrolled to

function element(name, text, className) {
  const node = document.createElement(name);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}

function segments(parent, pieces) {
  parent.replaceChildren(...pieces.map(([text, marked]) => (marked ? element("mark", text) : document.createTextNode(text))));
}

async function ask(path, body) {
  if (busy) return null;
  busy = true;
  document.body.classList.add("busy");
  const slow = setTimeout(() => (at("message").textContent = "Fitting the model …"), 400);
  try {
    const post = { method: "POST", headers: { "Content-Type": "application/json", "X-Zero2ir-Token": token }, body: JSON.stringify(body) };
    const response = await fetch(path, body === undefined ? {} : post);
    const json = response.headers.get("Content-Type")?.startsWith("application/json");
    const reply = json ? await response.json() : { error: await response.text() };
    at("message").textContent = response.ok ? "" : reply.error || "The request failed.";
    if (response.status === 409 && body !== undefined) {
      const now = await fetch("view"); // answered in another window: the current item has changed
      return now.ok ? await now.json() : null;
    }
    return response.ok ? reply : null;
  } catch {
    at("message").textContent = "The server does not respond; your answers are saved. Start it again and open its new address.";
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
  at("item").hidden = at("ranked").hidden = view.item === null;
  at("done").hidden = view.item !== null;
  at("stopped").textContent = view.stopped || "";
  at("effect").textContent = view.effect || "Shown after the first batch is judged.";
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

function ranked(result) {
  const row = element("li", "");
  row.append(element("strong", result.doc_id));
  if (result.grade !== null) row.append(" ", element("span", String(result.grade), "given"));
  row.append(element("span", result.snippet, "snippet"));
  return row;
}

function doubt(one) {
  const row = element("li", "");
  row.append(element("strong", one.query), element("span", `${one.doc_id}: ${one.reason}`, "snippet"));
  for (const grade of [0, 1, 2]) {
    const button = element("button", String(grade));
    button.type = "button";
    button.title = `grade again: ${grade}`;
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
  const reply = await ask("save", { answer_count: view.answer_count });
  if (reply?.lines) at("saved").replaceChildren(...reply.lines.map((line) => element("li", line)));
});
ask("view").then(draw);
