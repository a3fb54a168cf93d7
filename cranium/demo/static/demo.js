// The page of `cranium demo`: uploads, the list of scans, the viewer, what was found.
// The server sends slices as Hounsfield units (HU), mask and probability; all is drawn here.

const PRESETS = [
  ['Brain', 40, 80], ['ct-ich', 40, 120], ['Subdural', 80, 200], ['Stroke', 40, 40], ['Bone', 700, 3200],
];
// Colours of the probability, from matplotlib's plasma, which is fit for every colour vision.
const HEAT = [[13, 8, 135], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]];
const LEAST_HEAT = 13; // 5 %: below, a slice is seen as it is
const CACHE_BYTES = 2 ** 28;
const BUSY = ['waiting', 'looking', 'reading', 'segmenting', 'writing'];
const FOUND = ['writing', 'done']; // the files to save are written last

const get = id => document.getElementById(id);
const limits = JSON.parse(document.body.dataset.limits);
const colour = document.body.dataset.colour;
document.documentElement.style.setProperty('--found', `rgb(${colour})`);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
const format = (number, digits = 1) => number.toLocaleString('en', {
  minimumFractionDigits: digits, maximumFractionDigits: digits,
});
const plural = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
const megabytes = bytes => `${format(bytes / 2 ** 20, 0)} MB`;
const fileSize = bytes => bytes < 1e6 ? `${format(bytes / 1e3, bytes < 1e4 ? 1 : 0)} kB` : `${format(bytes / 1e6)} MB`;
const inPercent = probability => `${format(100 * probability, 0)} %`;
const millilitres = volume => `${format(volume, volume < 10 ? 2 : 1)} ml`;

// ---------------------------------------------------------------- the server

let session; // address of all that belongs to this page
const ready = ask('/sessions', {method: 'POST'}).then(answer => answer.json()).then(opened => {
  session = `/sessions/${opened.session}`;
});

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error('The program does not answer: start cranium demo again, then reload this page.');
  }
  if (!answer.ok) throw Object.assign(new Error(sentence(await answer.text(), answer.status)), {status: answer.status});
  return answer;
}

function sentence(text, status) {
  try {
    text = JSON.parse(text).error;
  } catch {
    text = text || `the program answered ${status}`;
  }
  return text[0].toUpperCase() + text.slice(1) + (text.endsWith('.') ? '' : '.');
}

function complain(error) {
  get('problem').textContent = error ? error.message : '';
  get('problem').hidden = !error;
}

function say(text) {
  get('live').textContent = text;
}

// ---------------------------------------------------------------- uploads

async function upload(files) { // [{path, file}]
  complain();
  files = files.filter(({file}) => !file.name.startsWith('.'));
  if (!files.length) return;
  const bytes = files.reduce((sum, {file}) => sum + file.size, 0);
  // The server checks as well, but a browser shows no answer to an upload that is cut short.
  if (bytes > limits.upload_bytes) {
    return complain(new Error(`${megabytes(bytes)} are more than ${megabytes(limits.upload_bytes)}; take fewer files.`));
  }
  if (files.length > limits.files) {
    return complain(new Error(`${files.length} files are more than ${limits.files}; take fewer, or a zip of them.`));
  }
  const names = new TextEncoder().encode(JSON.stringify(files.map(({path, file}) => [path, file.size])));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, names.length);
  const parcel = new Blob([length, names, ...files.map(({file}) => file)]);
  get('upload-progress').value = 0;
  get('uploading').hidden = false;
  say(`Loading ${plural(files.length, 'file')}`);
  try {
    await ready;
    await send(parcel);
    wanted = true;
  } catch (error) {
    complain(error);
  }
  get('uploading').hidden = true;
  poll();
}

function send(parcel) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest(); // `fetch` tells nothing of the progress of an upload
    request.open('POST', `${session}/uploads`);
    request.upload.onprogress = event => { get('upload-progress').value = event.loaded / event.total; };
    request.onerror = () => failed(new Error('The upload broke off: is cranium demo still running?'));
    request.onload = () => request.status < 300
      ? done() : failed(new Error(sentence(request.responseText, request.status)));
    request.send(parcel);
  });
}

async function filesOf(transfer) {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map(file => ({path: file.name, file}));
  return (await Promise.all(entries.map(walk))).flat();
}

async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [{path: entry.fullPath.slice(1), file}];
  }
  const reader = entry.createReader(), found = [];
  for (;;) { // it gives 100 at a time
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(walk))).flat();
}

for (const input of [get('files'), get('folder')]) {
  input.addEventListener('change', () => {
    upload([...input.files].map(file => ({path: file.webkitRelativePath || file.name, file})));
    input.value = '';
  });
}

let dragged = 0;
addEventListener('dragenter', event => {
  if (![...event.dataTransfer.types].includes('Files')) return;
  dragged += 1;
  get('dropping').hidden = false;
});
addEventListener('dragleave', () => {
  dragged = Math.max(0, dragged - 1);
  get('dropping').hidden = !dragged;
});
addEventListener('dragover', event => event.preventDefault());
addEventListener('drop', async event => {
  event.preventDefault();
  dragged = 0;
  get('dropping').hidden = true;
  try {
    upload(await filesOf(event.dataTransfer));
  } catch (error) {
    complain(error);
  }
});

get('samples').addEventListener('click', async event => {
  const button = event.target.closest('[data-sample]');
  if (!button) return;
  complain();
  try {
    await ready;
    await ask(`${session}/samples/${button.dataset.sample}`, {method: 'POST'});
    wanted = true;
  } catch (error) {
    complain(error);
  }
  poll();
});

// ---------------------------------------------------------------- the list of scans

let scans = new Map(); // by number
let wanted = false; // whether to open what is done next
let timer;
let asked = 0;

async function poll() {
  if (!session) return; // it could not be opened, as was said
  clearTimeout(timer);
  const question = asked += 1;
  let listed;
  try {
    ({scans: listed} = await (await ask(session)).json());
  } catch (error) {
    complain(error);
    if (error.status === 410) return;
  }
  if (question !== asked) return; // asked again in the meantime: this answer is old
  if (listed) list(listed);
  const busy = listed?.some(scan => BUSY.includes(scan.state));
  timer = setTimeout(poll, busy ? 300 : 15000);
}

function list(listed) {
  const before = scans;
  scans = new Map(listed.map(scan => [scan.number, scan]));
  for (const number of before.keys()) if (!scans.has(number)) get(`scan-${number}`)?.remove();
  for (const scan of listed) {
    const item = get(`scan-${scan.number}`) || get('scans').appendChild(makeItem(scan));
    fill(item, scan);
    const old = before.get(scan.number);
    if (open?.number === scan.number && (old?.files !== scan.files || old.state !== scan.state)) refresh();
    if (old?.state === scan.state) continue;
    if (scan.state !== 'done' || old?.state !== 'writing') say(`${scan.name}: ${words(scan)}`);
    const isNew = FOUND.includes(scan.state) && !FOUND.includes(old?.state);
    if (isNew && (wanted || !open)) {
      wanted = false;
      openScan(scan.number);
    }
  }
}

function words(scan) {
  if (scan.state === 'segmenting') return `segmenting, ${scan.segmented} of ${plural(scan.slices, 'slice')}`;
  if (scan.state === 'looking') return 'looking for scans';
  if (scan.state === 'failed') return scan.message;
  if (!FOUND.includes(scan.state)) return scan.state;
  if (!scan.hemorrhage) return 'no hemorrhage';
  return scan.volume_ml === null ? 'hemorrhage' : `hemorrhage, ${millilitres(scan.volume_ml)}`;
}

function makeItem(scan) {
  const item = element('li', {id: `scan-${scan.number}`});
  const button = element('button', {type: 'button', className: 'open'},
    element('span', {className: 'name', textContent: scan.name}),
    element('span', {className: 'state'}), element('progress', {max: 1}));
  button.addEventListener('click', () => openScan(scan.number));
  const remove = element('button', {type: 'button', className: 'remove', textContent: '\u00d7'});
  remove.setAttribute('aria-label', `Remove ${scan.name}`);
  remove.addEventListener('click', () => removeScan(scan.number));
  item.append(button, remove);
  return item;
}

function fill(item, scan) {
  const button = item.querySelector('.open'), bar = item.querySelector('progress');
  item.className = scan.hemorrhage ? 'found' : scan.state;
  button.disabled = !FOUND.includes(scan.state);
  button.setAttribute('aria-pressed', String(open?.number === scan.number));
  item.querySelector('.state').textContent = words(scan);
  bar.hidden = !BUSY.includes(scan.state) || FOUND.includes(scan.state);
  bar.setAttribute('aria-label', `Progress of ${scan.name}`);
  if (scan.state === 'segmenting') bar.value = scan.segmented / scan.slices;
  else bar.removeAttribute('value');
}

async function removeScan(number) {
  try {
    await ask(`${session}/scans/${number}`, {method: 'DELETE'});
  } catch (error) {
    complain(error);
  }
  if (open?.number === number) closeScan();
  await poll();
  const next = [...scans.values()].find(scan => FOUND.includes(scan.state));
  if (!open && next) openScan(next.number);
  (get('scans').querySelector('button:enabled') || get('files')).focus();
}

// ---------------------------------------------------------------- the open scan

let open; // {number, address, name, ...what the server says of it}
let current = 0; // slice, from 0
let drawn; // {hu, mask, probability, outline, heat} of the slice that is seen
const look = {level: 40, width: 80, outline: true, fill: get('fill').value / 100, probability: false};
let chosen; // lesion

async function openScan(number) {
  const address = `${session}/scans/${number}`;
  try {
    open = {...await (await ask(address)).json(), number, address, name: scans.get(number).name};
  } catch (error) {
    return complain(error);
  }
  cache.clear();
  drawn = chosen = undefined;
  const [, height, width] = open.shape, [tall, wide] = open.pixel_mm || [1, 1];
  get('stage').style.setProperty('--aspect', (width * wide) / (height * tall));
  Object.assign(get('picture'), {width, height});
  seen(true);
  get('corner-name').textContent = open.name;
  get('slice').max = open.shape[0];
  showStrip();
  showFindings();
  for (const scan of scans.values()) fill(get(`scan-${scan.number}`), scan);
  if (open.files.length !== scans.get(number).files) refresh(); // some were written since it was asked for
  const largest = open.slices.reduce((best, slice, at) => slice.pixels > open.slices[best].pixels ? at : best, 0);
  await show(open.slices[largest].pixels ? largest : Math.floor(open.shape[0] / 2));
  const top = get('viewer').getBoundingClientRect().top;
  if (top > innerHeight * 0.6) get('viewer').scrollIntoView({block: 'start'});
}

async function refresh() { // one more file is there
  const scan = open;
  try {
    const {files, remarks} = await (await ask(open.address)).json();
    Object.assign(scan, {files, remarks});
    if (open === scan) showFiles();
  } catch (error) {
    complain(error);
  }
}

function closeScan() {
  open = drawn = undefined;
  cache.clear();
  seen(false);
  get('stage').setAttribute('aria-label', 'No scan is open');
  for (const canvas of [get('picture'), get('layer')]) canvas.width = canvas.width; // clears it
}

function seen(something) {
  for (const id of ['marks', 'controls', 'result']) get(id).hidden = !something;
  for (const id of ['empty', 'no-result']) get(id).hidden = something;
}

function showStrip() {
  const most = Math.max(1, ...open.slices.map(slice => slice.pixels));
  get('strip').replaceChildren(...open.slices.map((slice, at) => {
    const bar = element('b');
    bar.style.height = slice.pixels ? `${15 + 85 * slice.pixels / most}%` : '0';
    const tick = element('i', {}, bar);
    tick.addEventListener('click', () => show(at));
    return tick;
  }));
}

function size(found) {
  if (found.volume_ml !== null && found.volume_ml !== undefined) return millilitres(found.volume_ml);
  return plural(found.pixels, 'pixel');
}

function showFindings() {
  get('findings-title').textContent = open.name;
  get('verdict').textContent = open.hemorrhage ? 'Hemorrhage: yes' : 'Hemorrhage: no';
  get('verdict').className = open.hemorrhage ? 'found' : '';
  const outlined = open.slices.filter(slice => slice.pixels).length;
  const scored = open.slices.filter(slice => slice.hemorrhage).length;
  const volume = open.volume_ml === null ? `not known: ${open.no_volume}` : millilitres(open.volume_ml);
  const rows = {
    Score: `${format(open.score, 2)}; hemorrhage from ${format(open.threshold, 2)} (log-odds)`,
    ...(open.probability === null ? {} : {Probability: `${inPercent(open.probability)} of hemorrhage`}),
    Volume: volume,
    Slices: `${outlined} of ${open.slices.length} outlined, ${scored} called by score`,
    Pixels: `${open.shape[2]} x ${open.shape[1]}${open.pixel_mm
      ? ` of ${format(open.pixel_mm[1], 2)} x ${format(open.pixel_mm[0], 2)} mm` : ''}`,
  };
  get('figures').replaceChildren(...Object.entries(rows).flatMap(([name, text]) =>
    [element('dt', {textContent: name}), element('dd', {textContent: text})]));
  get('no-lesions').hidden = open.lesions.length > 0;
  get('lesions').parentElement.hidden = !open.lesions.length;
  get('lesion-size').textContent = open.volume_ml === null ? 'Size' : 'Volume';
  get('lesions').tBodies[0].replaceChildren(...open.lesions.map(lesionRow));
  get('saves').replaceChildren();
  showFiles();
}

function showFiles() {
  get('no-saves').hidden = scans.get(open.number)?.state !== 'writing';
  const known = get('saves').children.length; // a link keeps the focus
  get('saves').append(...open.files.slice(known).map(file => element('li', {},
    element('a', {href: `${open.address}/files/${file.name}`, download: file.name, textContent: file.label}),
    element('span', {className: 'faint', textContent: ` ${fileSize(file.bytes)}`}))));
  get('remarks').replaceChildren(...open.remarks.map(text => element('li', {textContent: text})));
  get('remarks-block').hidden = !open.remarks.length;
}

function lesionRow(lesion) {
  const button = element('button', {type: 'button', textContent: lesion.number});
  button.setAttribute('aria-label', `Lesion ${lesion.number}: show slice ${lesion.slice + 1}`);
  const [first, last] = [lesion.box[0][0] + 1, lesion.box[1][0]];
  const row = element('tr', {}, element('td', {}, button), element('td', {textContent: size(lesion)}),
    element('td', {textContent: first === last ? first : `${first} to ${last}`}));
  button.addEventListener('click', () => {
    chosen = chosen === lesion ? undefined : lesion;
    for (const other of get('lesions').tBodies[0].rows) other.className = '';
    if (chosen) row.className = 'chosen';
    show(lesion.slice);
  });
  return row;
}

// ---------------------------------------------------------------- slices

const cache = new Map(); // by number of the slice: promise of its content

function load(at) {
  if (!cache.has(at)) {
    const [, height, width] = open.shape, pixels = height * width;
    const most = Math.max(8, Math.floor(CACHE_BYTES / (8 * pixels)));
    if (cache.size >= most) cache.delete(cache.keys().next().value);
    cache.set(at, ask(`${open.address}/slices/${at}`).then(answer => answer.arrayBuffer()).then(content => ({
      hu: new Int16Array(content, 0, pixels),
      mask: new Uint8Array(content, 2 * pixels, pixels),
      probability: new Uint8Array(content, 3 * pixels, pixels),
    })));
    cache.get(at).catch(() => cache.delete(at));
  }
  return cache.get(at);
}

async function show(at) {
  if (!open) return;
  current = at = Math.max(0, Math.min(open.shape[0] - 1, at));
  const scan = open;
  get('slice').value = at + 1;
  let slice;
  try {
    slice = await load(at);
  } catch (error) {
    return complain(error);
  }
  if (open !== scan || current !== at) return; // scrolled on in the meantime
  drawn = slice;
  describe();
  draw();
  for (const next of [at + 1, at - 1, at + 2, at - 2]) {
    if (next >= 0 && next < scan.shape[0]) load(next).catch(() => {});
  }
}

function describe() {
  const slice = open.slices[current];
  const area = slice.area_mm2 === null ? plural(slice.pixels, 'pixel') : `${format(slice.area_mm2 / 100, 2)} cm\u00b2`;
  const found = slice.pixels ? `hemorrhage on ${area}` : 'no hemorrhage outlined';
  const where = `Slice ${current + 1} of ${open.shape[0]}`;
  const mm = slice.position_mm === null ? '' : `, ${format(slice.position_mm)} mm`;
  const likely = slice.probability === null ? '' : `, hemorrhage ${inPercent(slice.probability)}`;
  get('corner-slice').textContent = `${current + 1} / ${open.shape[0]}${mm}${likely}`;
  get('slice').setAttribute('aria-valuetext', `${where}, ${found}`);
  get('stage').setAttribute('aria-label', `${open.name}, ${where}: ${found}`);
  if (document.activeElement === get('stage')) say(`${where}, ${found}`);
  [...get('strip').children].forEach((tick, at) => tick.classList.toggle('here', at === current));
}

// ---------------------------------------------------------------- drawing

function draw() {
  if (!drawn) return;
  drawPicture();
  drawLayer();
  readOff();
}

function drawPicture() {
  const canvas = get('picture'), context = canvas.getContext('2d');
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  const low = look.level - look.width / 2, scale = 255 / look.width;
  const grays = new Uint8ClampedArray(1);
  drawn.hu.forEach((hu, at) => {
    grays[0] = (hu - low) * scale; // rounds and clips
    pixels[at] = 0xff000000 | grays[0] * 0x10101;
  });
  context.putImageData(image, 0, 0);
  get('corner-window').textContent = `L ${look.level}  W ${look.width}`;
}

function drawLayer() {
  const canvas = get('layer'), context = canvas.getContext('2d');
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  if (!drawn) return;
  const [, height, width] = open.shape;
  if (look.probability) {
    drawn.heat ||= heat(drawn.probability, width, height);
    context.drawImage(drawn.heat, 0, 0, canvas.width, canvas.height);
  }
  drawn.outline ||= trace(drawn.mask, width, height);
  const path = new Path2D();
  path.addPath(drawn.outline, new DOMMatrix([canvas.width / width, 0, 0, canvas.height / height, 0, 0]));
  context.fillStyle = `rgb(${colour})`;
  if (look.fill) {
    context.globalAlpha = look.fill;
    context.fill(path, 'evenodd');
    context.globalAlpha = 1;
  }
  if (look.outline) { // outside of the mask, so that nothing of it is hidden
    const outside = new Path2D(path);
    outside.rect(0, 0, canvas.width, canvas.height);
    context.save();
    context.clip(outside, 'evenodd');
    context.strokeStyle = `rgb(${colour})`;
    context.lineJoin = 'round';
    context.lineWidth = 3 * ratio; // half of it is seen
    context.stroke(path);
    context.restore();
  }
  if (chosen && current >= chosen.box[0][0] && current < chosen.box[1][0]) {
    const [[, top, left], [, bottom, right]] = chosen.box, margin = 10 * ratio;
    const x = left * canvas.width / width - margin, y = top * canvas.height / height - margin;
    context.strokeStyle = '#fff';
    context.lineWidth = 1.5 * ratio;
    context.strokeRect(x, y, (right - left) * canvas.width / width + 2 * margin,
      (bottom - top) * canvas.height / height + 2 * margin);
    context.fillStyle = '#fff';
    context.font = `${13 * ratio}px system-ui, sans-serif`;
    context.fillText(chosen.number, x + 3 * ratio, y - 4 * ratio);
  }
}

// The borders of a mask's pixels as closed lines.
function trace(mask, width, height) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x];
  const ends = new Map(); // by corner, where a border leads from it; the mask is on its right
  const corner = (x, y) => y * (width + 1) + x;
  const add = (from, to) => ends.has(from) ? ends.get(from).push(to) : ends.set(from, [to]);
  for (let at = mask.indexOf(1); at >= 0; at = mask.indexOf(1, at + 1)) {
    const x = at % width, y = (at - x) / width;
    if (!inside(x, y - 1)) add(corner(x, y), corner(x + 1, y));
    if (!inside(x + 1, y)) add(corner(x + 1, y), corner(x + 1, y + 1));
    if (!inside(x, y + 1)) add(corner(x + 1, y + 1), corner(x, y + 1));
    if (!inside(x - 1, y)) add(corner(x, y + 1), corner(x, y));
  }
  const path = new Path2D();
  for (const start of ends.keys()) {
    let at = start, step = 0;
    while (ends.get(at)?.length) {
      const next = ends.get(at).pop();
      if (next - at !== step) { // a turn
        const x = at % (width + 1), y = (at - x) / (width + 1);
        if (step) path.lineTo(x, y);
        else path.moveTo(x, y);
      }
      step = next - at;
      at = next;
    }
    if (step) path.closePath();
  }
  return path;
}

function heat(probability, width, height) {
  const canvas = element('canvas', {width, height});
  const context = canvas.getContext('2d'), image = context.createImageData(width, height);
  const colours = Array.from({length: 256}, (_, level) => {
    const place = level / 255 * (HEAT.length - 1), left = Math.min(Math.floor(place), HEAT.length - 2);
    return HEAT[left].map((low, channel) => low + (place - left) * (HEAT[left + 1][channel] - low));
  });
  probability.forEach((level, at) => {
    if (level < LEAST_HEAT) return;
    image.data.set(colours[level], 4 * at);
    image.data[4 * at + 3] = 90 + 110 * level / 255;
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

new ResizeObserver(() => drawLayer()).observe(get('stage'));

// ---------------------------------------------------------------- controls

PRESETS.forEach(([name, level, width], at) => {
  const radio = element('input', {type: 'radio', name: 'preset', value: at});
  radio.addEventListener('change', () => setWindow(level, width));
  get('presets').append(element('label', {title: `level ${level}, width ${width} HU; key ${at + 1}`}, radio, name));
});

function setWindow(level, width) {
  look.level = Math.round(Math.max(-1024, Math.min(3071, level)));
  look.width = Math.round(Math.max(1, Math.min(4096, width)));
  get('level').value = look.level;
  get('width').value = look.width;
  const preset = PRESETS.findIndex(([, l, w]) => l === look.level && w === look.width);
  for (const radio of get('presets').querySelectorAll('input')) radio.checked = +radio.value === preset;
  if (drawn) drawPicture();
}

function setLook() {
  look.outline = get('outline').checked;
  look.fill = get('fill').value / 100;
  look.probability = get('probability').checked;
  get('scale').hidden = !look.probability;
  drawLayer();
}

for (const name of ['level', 'width']) {
  get(name).addEventListener('change', () => {
    const value = get(name).valueAsNumber;
    setWindow(...['level', 'width'].map(key => key === name && !Number.isNaN(value) ? value : look[key]));
  });
}
for (const name of ['outline', 'fill', 'probability']) get(name).addEventListener('input', setLook);
get('slice').addEventListener('input', () => show(+get('slice').value - 1));
get('down').addEventListener('click', () => show(current - 1));
get('up').addEventListener('click', () => show(current + 1));

const STEPS = {ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5, Home: -1e9, End: 1e9};
const SWITCHES = {o: 'outline', p: 'probability'};
addEventListener('keydown', event => {
  if (!open || event.ctrlKey || event.altKey || event.metaKey) return;
  const onStage = document.activeElement === get('stage');
  if (event.target.closest('input, .scroll')) return; // they have a use for these keys
  if (event.key in STEPS) show(current + STEPS[event.key]);
  else if (!onStage) return; // letters only there, where nobody types or dictates
  else if (event.key in SWITCHES) {
    get(SWITCHES[event.key]).checked = !get(SWITCHES[event.key]).checked;
    setLook();
  } else if (event.key === 'f') {
    get('fill').value = look.fill ? 0 : get('fill').defaultValue;
    setLook();
  } else if (PRESETS[event.key - 1]) setWindow(...PRESETS[event.key - 1].slice(1));
  else return;
  event.preventDefault();
});

let turned = 0; // a touchpad turns the wheel by little
get('stage').addEventListener('wheel', event => {
  if (!open || event.ctrlKey) return;
  event.preventDefault();
  turned += event.deltaMode ? Math.sign(event.deltaY) * 40 : event.deltaY;
  if (Math.abs(turned) < 40) return;
  show(current - Math.sign(turned));
  turned = 0;
}, {passive: false});

let pointer; // over the picture
let drag; // where the pointer went down, and what was then seen
get('stage').addEventListener('pointerdown', event => {
  if (!open || event.button) return;
  drag = {x: event.clientX, y: event.clientY, slice: current, ...look};
  get('stage').setPointerCapture(event.pointerId);
});
get('stage').addEventListener('pointermove', event => {
  pointer = event.pointerType === 'touch' ? undefined : event;
  readOff();
  if (!drag) return;
  const x = event.clientX - drag.x, y = drag.y - event.clientY;
  if (event.pointerType === 'touch') show(drag.slice + Math.round(y / Math.max(6, 200 / open.shape[0])));
  else if (Math.hypot(x, y) > 4) setWindow(drag.level + y, drag.width + 2 * x);
});
for (const name of ['pointerup', 'pointercancel']) {
  get('stage').addEventListener(name, () => { drag = undefined; });
}
get('stage').addEventListener('pointerleave', () => {
  pointer = undefined;
  readOff();
});

function readOff() { // the pixel under the pointer
  get('corner-reading').textContent = '';
  if (!drawn || !pointer) return;
  const box = get('stage').getBoundingClientRect(), [, height, width] = open.shape;
  const column = Math.floor((pointer.clientX - box.left) / box.width * width);
  const row = Math.floor((pointer.clientY - box.top) / box.height * height);
  if (column < 0 || row < 0 || column >= width || row >= height) return;
  const at = row * width + column;
  const percent = Math.round(drawn.probability[at] / 2.55);
  get('corner-reading').textContent = `${drawn.hu[at]} HU, ${percent} %`;
}

// ---------------------------------------------------------------- begin and end

addEventListener('pagehide', () => { if (session) navigator.sendBeacon(`${session}/close`); });
addEventListener('pageshow', event => { if (event.persisted) location.reload(); }); // it was closed

setWindow(look.level, look.width);
ready.then(poll, complain);
