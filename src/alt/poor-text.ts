/** Words that say no more than that there is a picture, in languages of the original and their neighbours. */
const GENERIC = new Set(
  `image images img picture pictures pic photo photos photograph foto fotos graphic graphics illustration figure fig
  thumbnail thumb screenshot snapshot placeholder untitled unnamed alt alttext alternative text caption description
  bild bilder grafik abbildung abb aufnahme bildschirmfoto platzhalter
  imagen imagenes imágenes fotografía fotografia gráfico ilustración figura captura
  photographie illustration graphique capture imagem immagine afbeelding plaatje
  jpg jpeg png gif webp avif tiff the a an of my ein eine das der die une un la le les el de`
    .split(/\s+/)
    .filter(Boolean),
);

/** Names that cameras, phones and programs give. */
const CAMERA = [
  /^(?:img|dsc|dscn|dscf|dcim|pict|pxl|mvimg|sam|gopr|imag|p|screenshot|screen shot|bildschirmfoto|captura|whatsapp image|signal|image|photo|foto|bild|fullsizerender|unnamed|download)[\s_-]*(?:[a-z]{0,3}[\s_-]*)?\d[\d\s._:-]*(?:(?:at|um)?[\s\d._:-]*(?:am|pm)?)?(?:\(\d+\)|[\s_-]*(?:hdr|edited|copy|kopie|cropped|wa\d+))*$/i,
  // Digests and identifiers.
  /^[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i,
  /^(?=.*\d)[0-9a-f]{12,}$/i,
];

const FILE_NAME = /^[^\s/\\]*\.(?:jpe?g|png|gif|webp|avif|svg|tiff?|bmp|heic)$/i;

/**
 * Whether a text tells nothing of its picture: a file's name, a camera's number, or just "image". An empty text is
 * none of these: it says that the picture is decorative.
 * @param source where the picture is, whose name as a text is none
 */
export function isPoorText(text: string, source = ""): boolean {
  const plain = text.trim();
  if (plain === "") return false;
  if (FILE_NAME.test(plain) || /^[\w./\\-]*[/\\][\w.-]+\.\w{2,5}$/.test(plain)) return true;
  if (CAMERA.some((pattern) => pattern.test(plain))) return true;
  const words = plain
    .toLowerCase()
    .split(/[\s_.,:;()[\]#-]+/u)
    .filter(Boolean);
  if (words.every((word) => GENERIC.has(word) || /^\d+$/.test(word))) return true;
  return sameName(plain, source);
}

/** Whether a text is its file's name as it is, which people do not write: "team-photo_2" and not "team photo 2". */
function sameName(text: string, source: string): boolean {
  const name = source
    .split(/[?#]/, 1)[0]!
    .split("/")
    .at(-1)!
    .replace(/\.\w+$/, "");
  return /[-_\d]/.test(name) && text.toLowerCase() === decode(name).toLowerCase();
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
