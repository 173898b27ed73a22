/** Articles, pronouns, prepositions, conjunctions and auxiliaries, which METEOR lets weigh less. Our own lists. */

const WORDS: Readonly<Record<string, string>> = {
  en: `a an the this that these those and or but nor so if as than then while because although of to in on at by for
    with from into onto out off over under up down about after before between through during against near behind beside
    above below around across along within without upon i you he she it we they me him her us them my your his its our
    their who whom whose which what there here is are was were be been being am has have had having do does did doing
    will would can could may might must shall should not n't no 's 'm 'd 'll 're 've`,
  de: `der die das den dem des ein eine einen einem einer eines dieser diese dieses diesen diesem und oder aber denn
    sondern als wie wenn weil dass ob während in im ins an am ans auf aufs aus bei beim mit nach von vom vor vorm zu zum
    zur über übers unter um ums durch für gegen ohne neben zwischen hinter bis seit entlang ich du er sie es wir ihr
    mich dich ihn uns euch mir dir ihm ihnen sich mein dein sein seine seinen seinem seiner ihre ihren ihrem ihrer unser
    kein keine keinen wer was welche welcher welches deren dessen ist sind war waren bin bist wird werden wurde wurden
    worden hat haben hatte hatten kann können muss soll will nicht da dort hier auch so`,
  es: `el la los las lo un una unos unas este esta estos estas ese esa esos esas aquel aquella y e o u pero sino ni que
    como cuando donde mientras porque si de del a al en con por para sin sobre entre hasta desde hacia bajo ante tras
    contra según durante yo tú él ella ello nosotros ellos ellas me te se nos os le les mi tu su mis tus sus nuestro
    nuestra quien cual cuyo cuya es son era eran fue fueron ser sido siendo está están estaba estaban estar estado hay
    había ha han haber he no muy más`,
  fr: `le la les l un une des de du d ce cet cette ces et ou mais donc or ni car que qu qui quoi dont où comme quand
    lorsque si parce à au aux en dans sur sous par pour avec sans vers chez entre devant derrière près contre pendant
    depuis jusque après avant je j tu il elle on nous vous ils elles me m te t se s lui leur leurs y mon ton son ma ta
    sa mes tes ses notre nos votre vos est sont était étaient être été étant a ont avait avaient avoir ayant fut sera
    ne n pas plus c là ici`,
};

/**
 * Empty for languages without a list.
 * @param lang ISO code
 */
export function functionWords(lang: string): ReadonlySet<string> {
  return new Set(WORDS[lang]?.split(/\s+/));
}
