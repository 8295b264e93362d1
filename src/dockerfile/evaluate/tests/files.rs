//! `COPY` and `ADD`.

use super::told;

#[test]
fn copies() {
    insta::assert_snapshot!(told(
        "FROM scratch AS one\nFROM scratch\nWORKDIR /w\nENV X=src N=5\n\
         COPY a /a\nCOPY a b/ c\\ d ./\nCOPY . .\nCOPY *.t[x]t dir\nCOPY ../$X/*.rs /$X\nCOPY [\"a b\", \"c\"]\n\
         COPY --chown=$N:staff --chmod=u=rwX,go=rX a /etc/a\nCOPY --chown=5 --chmod=0755 a b\n\
         COPY --chown=:staff a b\nCOPY --chown=5: a b\n\
         COPY --link --exclude=*.md --exclude=$X a /\n\
         COPY --parents ./x/./y/*.c a/b /p/\nCOPY --from=one /a /b /c/\nCOPY --from=0 a b\n\
         COPY --from=alpine:3 --chown=1 /bin/sh /sh\n"
    ));
}

#[test]
fn heredocs_are_files() {
    insta::assert_snapshot!(told(
        "FROM scratch\nENV A=1\nCOPY --chmod=600 <<a.txt <<-\"b.txt\" c /d/\n$A \"q\" \\$A\na.txt\n\t$A\nb.txt\n\
         ADD <<EOF /x\nEOF\n"
    ));
}

#[test]
fn additions() {
    insta::assert_snapshot!(told(
        "FROM scratch\nENV V=1\n\
         ADD a.tar.gz b /x/\nADD --unpack=false a.tar.gz /x/\n\
         ADD https://x.example/a-$V.tar.gz https://user:secret@x.example/b?c=d /x/\n\
         ADD --unpack=true --checksum=sha256:\
         0000000000000000000000000000000000000000000000000000000000000000 https://x.example/a.tar /x/\n\
         ADD --keep-git-dir=true https://x.example/a.git#v$V:docs /git\n\
         ADD --checksum=0123abc git@x.example:a/b.git /git2\nADD github.com/a/b.git /path\n"
    ));
}
